#!/bin/sh
# Chromium and its driver for tests/test_pages.py, from Debian, where they are missing. Never fails: those tests can skip.
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_both() {
    command -v apt-get && as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=120 chromium chromium-driver
}

echo "installing chromium and chromium-driver for the browser tests ..."
install_both >/dev/null 2>&1 || echo "chromium and chromium-driver could not be installed: the browser tests will be skipped"
