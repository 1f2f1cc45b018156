"""The look: one accent, calm greys, system fonts; light and dark are both designed."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui.words import translations

_FOLDER = Path(__file__).parent
_STYLES = ("style.css", "chat.css", "tour.css", "touch.css", "contrast.css")

# Close to the middle of Viridis, so that the plots and the page are of one family.
_ACCENT = gr.themes.Color(
    "#eef8f5", "#d5eee7", "#abddd1", "#7ac6b7", "#48aa9b", "#278d80",
    "#17736a", "#155c56", "#154a46", "#143e3b", "#072422",
)  # fmt: skip
_GREY = gr.themes.Color(
    "#f6f8f7", "#ecefee", "#dde2e1", "#c2c9c7", "#96a09e", "#5f6a68",
    "#55605e", "#404a48", "#29312f", "#1a201f", "#101514",
)  # fmt: skip

_VARIABLES = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "*neutral_900",
    "body_text_color_dark": "#e6ebea",
    "body_text_color_subdued": "*neutral_500",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "#171d1c",
    "background_fill_secondary": "*neutral_50",
    "background_fill_secondary_dark": "*neutral_950",
    "block_background_fill": "#ffffff",
    "block_background_fill_dark": "#171d1c",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_text_color": "*neutral_600",
    "block_label_text_color_dark": "*neutral_400",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_300",
    "block_title_text_weight": "500",
    "block_info_text_color": "*neutral_500",
    "block_info_text_color_dark": "*neutral_400",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "*neutral_800",
    "border_color_accent": "*primary_500",
    "border_color_accent_dark": "*primary_500",
    "color_accent": "*primary_600",
    "link_text_color": "*primary_600",
    "link_text_color_dark": "*primary_400",
    "link_text_color_hover": "*primary_700",
    "link_text_color_hover_dark": "*primary_300",
    "link_text_color_visited": "*primary_600",
    "link_text_color_visited_dark": "*primary_400",
    "link_text_color_active": "*primary_700",
    "link_text_color_active_dark": "*primary_300",
    "color_accent_soft": "*primary_50",
    "color_accent_soft_dark": "#173532",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#121817",
    "input_border_color": "*neutral_200",
    "input_border_color_dark": "*neutral_800",
    "input_border_color_focus": "*primary_500",
    "input_border_color_focus_dark": "*primary_500",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 3px color-mix(in srgb, *primary_500 18%, transparent)",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_400",
    "button_primary_background_fill_hover_dark": "*primary_300",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "*primary_950",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_dark": "transparent",
    "button_secondary_background_fill_hover": "*neutral_100",
    "button_secondary_background_fill_hover_dark": "*neutral_800",
    "button_secondary_border_color": "*neutral_200",
    "button_secondary_border_color_dark": "*neutral_800",
    "button_secondary_text_color": "*neutral_700",
    "button_secondary_text_color_dark": "*neutral_300",
    "button_large_radius": "10px",
    "button_small_radius": "8px",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_400",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_dark": "transparent",
    "checkbox_border_color": "*neutral_500",
    "checkbox_border_color_dark": "*neutral_500",
    "checkbox_background_color_selected": "*primary_600",
    "checkbox_background_color_selected_dark": "*primary_500",
    "checkbox_border_color_selected": "*primary_600",
    "checkbox_border_color_focus": "*primary_500",
    "layout_gap": "16px",
}


def build_theme() -> gr.themes.Base:
    """Make the theme; every font is one the visitor's machine already has."""
    theme = gr.themes.Base(
        primary_hue=_ACCENT,
        secondary_hue=_ACCENT,
        neutral_hue=_GREY,
        radius_size=gr.themes.sizes.radius_lg,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "monospace"],
    )
    return theme.set(**_VARIABLES)


def launch_look() -> dict[str, Any]:
    """Arguments of `launch` that give the page its look and keep it to itself."""
    return {
        "theme": build_theme(),
        "css": "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _STYLES),
        # Before the page asks anything of the server; a component's script may come later.
        "js": f"() => {{{(_FOLDER / 'early.js').read_text(encoding='utf-8')}}}",
        "favicon_path": _FOLDER / "icon.svg",
        "i18n": translations(),
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "show_error": True,
        "max_file_size": "1mb",
        "enable_monitoring": False,
    }
