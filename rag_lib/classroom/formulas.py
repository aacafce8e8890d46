"""Formulas as MathML, which browsers draw and screen readers speak with no script and no network."""

from __future__ import annotations

import re

from docutils.utils.math.latex2mathml import tex2mathml

FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+?)\$", re.DOTALL)
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
# What docutils does not know of LaTeX: brackets grow by themselves in MathML, and \dots is \ldots.
SPARED = re.compile(r"\\[bB]igg?(?![a-zA-Z])"), re.compile(r"\\dots(?![a-zA-Z])")


def mathml(formula: str, block: bool = False) -> str:
    """A formula of LaTeX as a MathML element; `block` sets it on a line of its own.

    Raises:
        docutils.utils.math.MathError: it has a command that docutils does not know.
    """
    without_big, dots = SPARED
    return tex2mathml(dots.sub(r"\\ldots", without_big.sub("", formula.strip())), as_block=block)


def with_mathml(text: str) -> str:
    """A text of Markdown with each formula outside of code as MathML, each on one line.

    Raises:
        docutils.utils.math.MathError: a formula has a command that docutils does not know.
    """

    def drawn(match: re.Match) -> str:
        block = match["block"] is not None
        return " ".join(mathml(match["block"] if block else match["inline"], block).split())

    parts = CODE.split(text)
    return "".join(part if i % 2 else FORMULA.sub(drawn, part) for i, part in enumerate(parts))
