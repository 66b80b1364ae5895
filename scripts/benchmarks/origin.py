"""The origin that every contender fetches from: nginx, one small page, and a robots.txt."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from .running import Running, free_port
from .tools import find

PAGE, ONCE = "/page/one", "/once/one"
_SMALL = "<!doctype html><title>A small page</title><p>" + "x" * 400
FILES = {
    PAGE: _SMALL,
    ONCE: _SMALL,  # and the connection is closed
    "/robots.txt": """\
User-agent: *
Disallow: /private/
Disallow: /admin/
Disallow: /basket/
Disallow: /cgi-bin/
Disallow: /checkout/
Disallow: /drafts/
Disallow: /login
Disallow: /*/raw$
Disallow: /*?sort=
Disallow: /search
Allow: /search/about

User-agent: GreedyBot
Disallow: /
""",
}

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_timeout 60s;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type text/html;
  open_file_cache max=16;
  server {{
    {listen}
    root {folder}/www;
    location = /robots.txt {{ default_type text/plain; }}
    location /once/ {{ keepalive_timeout 0; }}
  }}
}}
"""


class Origin:
    """Reached by name, so that every contender has to resolve one: `localhost`, on a free port."""

    def __init__(self, folder: Path, core: int) -> None:
        """Raises `tools.Missing`."""
        program = find("nginx")
        for path, text in FILES.items():
            file = folder / "www" / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.port = free_port()
        # every address of the name, or a contender's first attempt would fail
        addresses = {info[4][0] for info in socket.getaddrinfo("localhost", self.port)}
        listen = " ".join(
            f"listen {f'[{address}]' if ':' in str(address) else address}:{self.port};"
            for address in sorted(map(str, addresses)))
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(
            folder=folder, listen=listen,
            user="user root;" if os.geteuid() == 0 else ""))
        self.running = Running([program, "-c", str(config), "-p", str(folder)], core,
                               log=folder / "stderr.log")
        self.running.wait_for_port(self.port)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}{PAGE}"
