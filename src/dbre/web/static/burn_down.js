// Draws the burn-down as an interactive chart beside the one that the server drew; without this file nothing is missing.
(() => {
  // 24 hours and the year first, as everywhere else
  const fmtDate = (form, names) => uPlot.fmtDate(
    form.replaceAll("{h}", "{HH}").replaceAll("{aa}", "").replaceAll("{M}/{D}/{YY}", "{YYYY}-{MM}-{DD}").replaceAll("{M}/{D}", "{MM}-{DD}"), names);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = async () => {
    const place = document.getElementById("burn-down");
    if (!place || place.dataset.drawn) return;
    place.dataset.drawn = "yes";
    const answer = await fetch(place.dataset.series, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const series = await answer.json();
    if (series.at_seconds.length < 2) return;
    const axis = { stroke: css("--muted"), grid: { stroke: css("--hair") }, ticks: { stroke: css("--hair") } };
    place.replaceChildren();
    const marks = (u) => {
      for (const [seconds, , kind] of JSON.parse(place.dataset.marks || "[]")) {
        const x = u.valToPos(seconds, "x", true);
        if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
        u.ctx.save();
        u.ctx.strokeStyle = css(kind === "incident" ? "--bad" : "--warn");
        u.ctx.setLineDash(kind === "incident" ? [] : [6, 4]);
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
        u.ctx.restore();
      }
    };
    new uPlot({
      width: place.clientWidth,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      fmtDate,
      hooks: { draw: [marks] },
      cursor: { drag: { x: true, y: false } },
      series: [{}, { label: "budget left %", stroke: css("--bar"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), value: (u, v) => (v === null ? "" : v.toFixed(2)) }],
      axes: [axis, { ...axis, size: 60 }],
    }, [series.at_seconds, series.remaining_ratio.map((ratio) => ratio * 100)], place);
  };
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:after:swap", draw);
})();
