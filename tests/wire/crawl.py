"""A customer's crawler, as a program of its own: Scrapy, told not to mind robots.txt.

    python crawl.py START_URL PROXY_URL

Follows every link. Prints one JSON object: status by path, and why the crawl ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response, TextResponse


class Crawl(scrapy.Spider):
    name = "crawl"
    custom_settings: ClassVar[dict[str, Any]] = {
        "ROBOTSTXT_OBEY": False,
        "USER_AGENT": "examplebot/1.0 (+https://bot.example/)",
        "CONCURRENT_REQUESTS": 8,
        "DOWNLOAD_DELAY": 0,
        "RETRY_TIMES": 1,
        "DOWNLOAD_TIMEOUT": 10,
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
        "CLOSESPIDER_TIMEOUT": 40,
    }
    handle_httpstatus_all = True
    seen: ClassVar[dict[str, int]] = {}
    ended = ""

    async def start(self) -> AsyncIterator[Any]:
        yield self._request(sys.argv[1])

    def _request(self, url: str) -> scrapy.Request:
        return scrapy.Request(url, self.parse, meta={
            "proxy": sys.argv[2], "handle_httpstatus_all": True})

    def parse(self, response: Response, **_: Any) -> Iterator[Any]:
        self.seen[urlsplit(response.url).path] = response.status
        if response.status == 200 and isinstance(response, TextResponse):
            for link in response.css("a::attr(href)").getall():
                yield self._request(response.urljoin(link))

    def closed(self, reason: str) -> None:
        Crawl.ended = reason


if __name__ == "__main__":
    process = CrawlerProcess()
    process.crawl(Crawl)
    process.start()
    print(json.dumps({"seen": Crawl.seen, "ended": Crawl.ended}))
