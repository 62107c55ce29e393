"""The README's settings table is what the code says."""

from pathlib import Path

from config.table import markdown

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_lists_every_setting_with_its_default_and_meaning() -> None:
    text = README.read_text()
    _, _, rest = text.partition("<!-- settings:begin -->\n\n")
    shown, _, _ = rest.partition("\n<!-- settings:end -->")

    assert shown == markdown()
