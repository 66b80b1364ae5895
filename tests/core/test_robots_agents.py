"""Which product token binds a User-Agent as it is really sent: RFC 9309 section 2.2.1."""

from __future__ import annotations

import pytest

from outbounds.core.robots import Robots, product_tokens

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko"
_CHROME = f"{_WEBKIT}) Chrome/124.0.0.0"
_NEXUS = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P)"

# (the token of the group that binds it, or "*"; the User-Agent as its maker documents it)
SENT = [
    ("googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ("googlebot", f"{_NEXUS} {_CHROME} Mobile Safari/537.36 (compatible; Googlebot/2.1; "
                  "+http://www.google.com/bot.html)"),
    ("googlebot", f"Mozilla/5.0 {_WEBKIT}; compatible; Googlebot/2.1; "
                  "+http://www.google.com/bot.html) Chrome/124.0.0.0 Safari/537.36"),
    ("googlebot-image", "Googlebot-Image/1.0"),
    ("googlebot-video", "Googlebot-Video/1.0"),
    ("adsbot-google", "AdsBot-Google (+http://www.google.com/adsbot.html)"),
    ("mediapartners-google", "Mediapartners-Google"),
    ("bingbot", f"Mozilla/5.0 {_WEBKIT}; compatible; bingbot/2.0; "
                "+http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36"),
    ("slurp", "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)"),
    ("duckduckbot", "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)"),
    ("baiduspider", "Mozilla/5.0 (compatible; Baiduspider/2.0; "
                    "+http://www.baidu.com/search/spider.html)"),
    ("yandexbot", "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"),
    ("sogou", "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)"),
    ("applebot", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, "
                 "like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; "
                 "+http://www.apple.com/go/applebot)"),
    ("petalbot", f"Mozilla/5.0 (Linux; Android 7.0;) {_WEBKIT}) Mobile Safari/537.36 (compatible; "
                 "PetalBot;+https://webmaster.petalsearch.com/site/petalbot)"),
    ("amazonbot", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_10_1) AppleWebKit/600.2.5 (KHTML, "
                  "like Gecko) Version/8.0.2 Safari/600.2.5 (Amazonbot/0.1; "
                  "+https://developer.amazon.com/support/amazonbot)"),
    ("gptbot", f"Mozilla/5.0 {_WEBKIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot)"),
    ("chatgpt-user", f"Mozilla/5.0 {_WEBKIT}); compatible; ChatGPT-User/1.0; "
                     "+https://openai.com/bot"),
    ("oai-searchbot", f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT}) "
                      "Chrome/131.0.0.0 Safari/537.36; compatible; OAI-SearchBot/1.0; "
                      "+https://openai.com/searchbot"),
    ("claudebot", f"Mozilla/5.0 {_WEBKIT}; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)"),
    ("perplexitybot", f"Mozilla/5.0 {_WEBKIT}; compatible; PerplexityBot/1.0; "
                      "+https://perplexity.ai/perplexitybot)"),
    ("ccbot", "CCBot/2.0 (https://commoncrawl.org/faq/)"),
    ("bytespider", f"Mozilla/5.0 (Linux; Android 5.0) {_WEBKIT}) Mobile Safari/537.36 (compatible; "
                   "Bytespider; spider-feedback@bytedance.com)"),
    ("semrushbot", "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)"),
    ("ahrefsbot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    ("mj12bot", "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://mj12bot.com/)"),
    ("dotbot", "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot; "
               "help@moz.com)"),
    ("360spider", "Mozilla/5.0 (compatible; 360Spider/1.0)"),
    ("facebookexternalhit", "facebookexternalhit/1.1 "
                            "(+http://www.facebook.com/externalhit_uatext.php)"),
    ("meta-externalagent", "meta-externalagent/1.1 "
                           "(+https://developers.facebook.com/docs/sharing/webmasters/crawler)"),
    ("twitterbot", "Twitterbot/1.0"),
    ("linkedinbot", "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)"),
    ("pinterestbot", "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)"),
    ("ia_archiver", "ia_archiver (+http://www.alexa.com/site/help/webmasters; crawler@alexa.com)"),
    ("archive", "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)"),
    ("uptimerobot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"),
    # libraries and tools are what they say they are
    ("python-requests", "python-requests/2.31.0"),
    ("python-urllib", "Python-urllib/3.12"),
    ("python-httpx", "python-httpx/0.27.0"),
    ("aiohttp", "Python/3.12 aiohttp/3.9.5"),
    ("curl", "curl/8.5.0"),
    ("wget", "Wget/1.21.4"),
    ("go-http-client", "Go-http-client/1.1"),
    ("scrapy", "Scrapy/2.11.2 (+https://scrapy.org)"),
    ("okhttp", "okhttp/4.12.0"),
    ("java", "Java/17.0.10"),
    ("apache-httpclient", "Apache-HttpClient/4.5.14 (Java/17.0.10)"),
    ("axios", "axios/1.6.8"),
    ("node-fetch", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)"),
    ("guzzlehttp", "GuzzleHttp/7"),
    ("libwww-perl", "libwww-perl/6.77"),
    ("headlesschrome", f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT}) HeadlessChrome/124.0.0.0 "
                       "Safari/537.36"),
    # browsers name no bot
    ("*", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36"),
    ("*", f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36 Edg/124.0.2478.51"),
    ("*", "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"),
    ("*", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4_1) AppleWebKit/605.1.15 (KHTML, like Gecko) "
          "Version/17.4.1 Safari/605.1.15"),
    ("*", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
          "like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1"),
    ("*", f"{_NEXUS} {_CHROME} Mobile Safari/537.36"),
    # and a name in a URL, in an address or within another name is none
    ("*", "x (+https://example.com/Googlebot)"), ("*", "x (Googlebot@example.com)"),
    ("*", "NotGooglebot/1.0"), ("*", "Googlebots/1.0"), ("*", ""), ("*", "();,"), ("*", "ツ"),
    ("googlebot", "ツ googlebot"), ("googlebot", "GOOGLEBOT"),
]
NAMED = Robots.parse("".join(
    f"User-agent: {token}\nDisallow: /{token}\n\n" for token in {token for token, _ in SENT}
).encode())


@pytest.mark.parametrize(("token", "agent"), SENT)
def test_a_user_agent_as_it_is_sent(token: str, agent: str) -> None:
    assert NAMED.token(agent) == token
    path = f"/{token if token != '*' else '%2A'}"
    assert Robots.parse(f"User-agent: {token}\nDisallow: {path}\n".encode()) \
        .allowed(path, agent).allowed is False


def test_browser_words_come_last() -> None:
    assert product_tokens("Mozilla/5.0 (compatible; Foo/1; +http://x.y)")[0] == "foo"


def test_a_browser_is_bound_where_only_it_is_named() -> None:
    robots = Robots.parse(b"user-agent: mozilla\ndisallow: /\n\nuser-agent: foobot\ndisallow: /x\n")
    assert not robots.allowed("/", "Mozilla/5.0 (X11) Firefox/125.0").allowed
    assert robots.allowed("/", "Mozilla/5.0 (compatible; FooBot/1.0)").allowed


def test_a_name_far_behind_is_none() -> None:
    """No crawler's is; and a User-Agent as long as a request may be is looked at no longer."""
    assert product_tokens("x" * 600 + " FooBot") == ("x" * 600, "foobot")
    assert product_tokens("x " * 600 + "FooBot") == ("x",)
