"""What a page may run and ask for, beyond the style sheets and pictures that all may have."""

from __future__ import annotations

from dataclasses import dataclass

HEADER = "Content-Security-Policy"
#: Looks up names of objects, for visitors who have allowed their browser to ask (``resolve.js``).
RESOLVER = "https://cds.unistra.fr"


@dataclass(frozen=True, slots=True)
class PagePolicy:
    """What the scripts of a page need.

    Parameters
    ----------
    connect
        Other services that they may ask, each an origin (``https://example.org``).
    wasm
        Whether they compile WebAssembly, and make workers and styles of their own, as sky viewers do.
    """

    connect: tuple[str, ...] = ()
    wasm: bool = False

    def header(self, nonce: str) -> str:
        """Write the policy of a page whose scripts have a nonce.

        Notes
        -----
        Scripts are let in by the nonce alone, and not by being of this site: it has files of everybody. What
        they import has it too.
        """
        wasm = " 'wasm-unsafe-eval'" if self.wasm else ""
        inline = " 'unsafe-inline'" if self.wasm else ""
        blob = " blob:" if self.wasm else ""
        others = "".join(f" {origin}" for origin in self.connect)
        rules = [
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'{wasm}",
            f"style-src 'self'{inline}",
            "img-src 'self' data: blob:",
            f"connect-src 'self'{' data: blob:' if self.wasm else ''}{others}",
            *([f"worker-src{blob}"] if self.wasm else ()),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
        return "; ".join(rules)
