// Tables that are wider than the page scroll: by keyboard, too.
const reachable = () => document.querySelectorAll(".md-typeset__scrollwrap").forEach((e) => { e.tabIndex = 0; });
new MutationObserver(reachable).observe(document.body, { childList: true, subtree: true });
reachable();
