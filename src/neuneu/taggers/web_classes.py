"""What kind of web page a document is, by its address alone: news, blogs, forums, shopping, …"""

import re
from urllib.parse import urlsplit

import polars as pl

CLASSES: dict[str, tuple[str, ...]] = {
    "social_media": (
        "facebook.com", "twitter.com", "x.com", "instagram.com", "tumblr.com", "pinterest.com",
        "linkedin.com", "tiktok.com", "vk.com", "mastodon.social", "bsky.app",
    ),
    "forums": (
        "reddit.com", "stackexchange.com", "stackoverflow.com", "quora.com", "news.ycombinator.com",
        "4chan.org", "discourse.org", "phpbb.com", "superuser.com", "serverfault.com",
    ),
    "blogs": (
        "blogspot.com", "wordpress.com", "medium.com", "substack.com", "livejournal.com", "typepad.com",
        "ghost.io", "dev.to",
    ),
    "shopping": (
        "amazon.com", "ebay.com", "etsy.com", "walmart.com", "aliexpress.com", "alibaba.com", "target.com",
        "bestbuy.com", "shopify.com",
    ),
    "news": (
        "bbc.co.uk", "bbc.com", "cnn.com", "nytimes.com", "theguardian.com", "reuters.com", "apnews.com",
        "washingtonpost.com", "npr.org", "aljazeera.com", "bloomberg.com", "forbes.com", "latimes.com",
        "independent.co.uk", "telegraph.co.uk", "huffpost.com", "foxnews.com", "wsj.com",
    ),
    "encyclopedic": ("wikipedia.org", "britannica.com", "wiktionary.org", "fandom.com", "wikibooks.org"),
    "code": ("github.com", "gitlab.com", "bitbucket.org", "readthedocs.io", "pypi.org", "npmjs.com"),
    "academic": ("arxiv.org", "nature.com", "sciencedirect.com", "springer.com", "ncbi.nlm.nih.gov"),
}  # fmt: skip
"""Class → hosts, and what is below them. Large hosts that are wholly of a kind; no claim to be complete."""

_PARTS: dict[str, re.Pattern[str]] = {
    "forums": re.compile(r"(^|[./_-])(forums?|boards?|viewtopic|showthread|threads?)([./_?-]|$)"),
    "shopping": re.compile(r"(^|[./_-])(shop|store|products?|cart|checkout|buy)([./_?-]|$)"),
    "blogs": re.compile(r"(^|[./_-])(blogs?|weblog)([./_?-]|$)"),
    "news": re.compile(r"(^|[./_-])(news|headlines|press|gazette|tribune|herald|daily|times)([./_?-]|$)"),
}
"""Class → what its hosts and paths hold, looked at in this order."""

OTHER = "other"


def web_class(url: str | None) -> str | None:
    """The class of an address; other where nothing tells it, null for no address."""
    if not url:
        return None
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return OTHER
    for name, hosts in CLASSES.items():
        if any(host == known or host.endswith(f".{known}") for known in hosts):
            return name
    place = f"{host}{parts.path}".lower()
    return next((name for name, pattern in _PARTS.items() if pattern.search(place)), OTHER)


def url_tagger(block: pl.DataFrame) -> pl.DataFrame:
    """web_class of each document, by its field url."""
    found = [web_class(url) for url in block["url"]]
    return block.select("id", pl.Series("web_class", found, dtype=pl.String))
