################################################################################
#
# videre, from the tree that this file stands in
#
################################################################################

VIDERE_VERSION = $(shell sed -n 's/^VERSION = //p' $(BR2_EXTERNAL_VIDERE_PATH)/../../Makefile)
VIDERE_SITE = $(BR2_EXTERNAL_VIDERE_PATH)/../..
VIDERE_SITE_METHOD = local
VIDERE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/build --exclude=/dist --exclude=/toolchain --exclude=node_modules
VIDERE_LICENSE = MIT
VIDERE_LICENSE_FILES = LICENSE
VIDERE_DEPENDENCIES = videre-bearssl

VIDERE_SETTINGS = CROSS_COMPILE='$(TARGET_CROSS)' CC='$(TARGET_CC)' BEARSSL=$(VIDERE_BEARSSL_DIR) \
	CFLAGS='$(TARGET_CFLAGS)' LDFLAGS='$(TARGET_LDFLAGS)'

define VIDERE_USERS
	videre -1 videre -1 * - - - videre
endef

define VIDERE_BUILD_CMDS
	$(TARGET_MAKE_ENV) $(MAKE) -C $(@D) $(VIDERE_SETTINGS)
endef

define VIDERE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 755 $(@D)/videre $(TARGET_DIR)/usr/sbin/videre
	$(INSTALL) -D -m 644 $(@D)/device/conf.json $(TARGET_DIR)/etc/videre.json
endef

define VIDERE_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 755 $(@D)/device/S50videre $(TARGET_DIR)/etc/init.d/S50videre
endef

define VIDERE_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 644 $(@D)/device/videre.service $(TARGET_DIR)/usr/lib/systemd/system/videre.service
	$(SED) 's/"syslog"/"-"/' $(TARGET_DIR)/etc/videre.json
endef

$(eval $(generic-package))
