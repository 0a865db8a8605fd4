"""A picture of the courses of channels for the asset's page. Points come as a frame; nothing is read here."""

import io

import pandas as pd


def channel_courses(points: pd.DataFrame) -> bytes | None:
    """A PNG of the weekly sentiment of some channels, a panel each, with a line where its level changes; None without points.

    Args:
        points: Columns source, channel_id, starts_at, sentiment, n, level_after (missing where nothing changes).
    """
    if points.empty:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    courses = list(points.groupby(["source", "channel_id"], sort=False))
    figure = Figure(figsize=(7, 1.5 * len(courses) + 0.4), layout="constrained")
    panels = figure.subplots(len(courses), sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, ((source, channel), course) in zip(panels, courses, strict=True):
        axes.plot(course["starts_at"], course["sentiment"], color="#4269d0", linewidth=1)
        axes.scatter(course["starts_at"], course["sentiment"], s=4 + course["n"].clip(upper=60) / 2, color="#4269d0")
        for turn in course[course["level_after"].notna()]["starts_at"]:
            axes.axvline(turn, color="#ff725c", linewidth=1)
        axes.set_title(f"{source} · {channel or 'no channel'}", fontsize=8, loc="left")
        axes.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    figure.supylabel("sentiment of comments, by week", fontsize=8)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()
