"""Strings that a notebook shows as what they are."""


class Html(str):
    """HTML text: a `str`, shown as HTML by notebooks."""

    def _repr_html_(self) -> str:
        return str(self)


class Svg(str):
    """An SVG picture as text: a `str`, shown as a picture by notebooks."""

    def _repr_svg_(self) -> str:
        return str(self)
