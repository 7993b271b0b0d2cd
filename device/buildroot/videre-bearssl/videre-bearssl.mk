################################################################################
#
# videre-bearssl: BearSSL's source, which videre builds as it needs it
#
################################################################################

VIDERE_BEARSSL_VERSION = 0.6
VIDERE_BEARSSL_SOURCE = bearssl-$(VIDERE_BEARSSL_VERSION).tar.gz
VIDERE_BEARSSL_SITE = https://bearssl.org
VIDERE_BEARSSL_LICENSE = MIT
VIDERE_BEARSSL_LICENSE_FILES = LICENSE.txt
VIDERE_BEARSSL_INSTALL_TARGET = NO

$(eval $(generic-package))
