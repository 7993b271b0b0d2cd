include $(sort $(wildcard $(BR2_EXTERNAL_VIDERE_PATH)/*/*.mk))
