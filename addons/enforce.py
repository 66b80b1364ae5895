"""The script for `mitmdump -s`: it only loads the package, so that mitmproxy can find the addon.

It stays outside the package on purpose. mitmproxy imports a script by its path, which would break
the package's relative imports.
"""

from outbounds.proxy.hooks import Outbounds

addons = [Outbounds()]
