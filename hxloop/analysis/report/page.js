"use strict";
// Draws the figures of an analysis report and lets the reader choose between them.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const settings = {
    responsive: true,
    displaylogo: false,
    // On a narrow screen the buttons would lie on the legend.
    displayModeBar: window.innerWidth < 640 ? false : "hover",
    // The page is offline: nothing of it is to be sent anywhere ("Share" uploads to a cloud).
    showSendToCloud: false,
    showEditInChartStudio: false,
    plotlyServerURL: "",
    modeBarButtonsToRemove: [
      "select2d", "lasso2d", "autoScale2d", "sendChartToCloud", "sendDataToCloud",
    ],
    toImageButtonOptions: { format: "svg" },
  };
  const drawn = [];

  // --- figures: each plot has variants, a menu chooses one --------------------------------

  function drawFigures() {
    const figures = read("figures");
    for (const plot of document.querySelectorAll("div.plot[data-figure]")) {
      const variants = figures[plot.dataset.figure];
      const menu = document.querySelector(`select[data-for="${plot.dataset.figure}"]`);
      const draw = () => {
        const figure = variants[menu ? menu.selectedIndex : 0];
        return Plotly.react(plot, figure.data, figure.layout, settings);
      };
      if (menu) menu.addEventListener("change", draw);
      drawn.push(draw());
    }
  }

  // --- the raster: one sample through all layers, one column for each state ----------------

  const SILENT = 65535;

  function decode(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const values = new Uint16Array(bytes.length / 2);
    for (let i = 0; i < values.length; i++) values[i] = view.getUint16(2 * i, true);
    return values;
  }

  function decodeWide(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
  }

  // Start and length of the shortest interval that holds ceil(n/2) of the sorted times.
  function shortestHalf(times) {
    const half = Math.ceil(times.length / 2);
    let best = null;
    for (let i = 0; half > 0 && i + half <= times.length; i++) {
      const length = times[i + half - 1] - times[i];
      if (best === null || length < best.length) best = { start: times[i], length };
    }
    return best;
  }

  class Raster {
    constructor(plot, data) {
      this.plot = plot;
      this.data = data;
      this.width = data.layers.reduce((sum, layer) => sum + layer.size, 0);
      this.times = data.states.map((state) => decode(state.times));
      this.further = data.states.map(
        ({ further }) =>
          further && {
            ends: further.ends,
            neurons: decodeWide(further.neurons),
            times: decode(further.times),
          },
      );
      this.sample = document.getElementById("raster-sample");
      this.order = document.getElementById("raster-order");
      this.later = document.getElementById("raster-later");
      for (const control of [this.sample, this.order, this.later])
        control.addEventListener("change", () => this.draw());
      const move = (step) => {
        const count = this.sample.options.length;
        this.sample.selectedIndex = (this.sample.selectedIndex + step + count) % count;
        this.draw();
      };
      document.getElementById("raster-previous").addEventListener("click", () => move(-1));
      document.getElementById("raster-next").addEventListener("click", () => move(1));
    }

    // First spike times of a layer in the chosen sample; Infinity = silent.
    layerTimes(state, layer) {
      const start = Number(this.sample.value) * this.width + this.data.layers[layer].start;
      const raw = this.times[state].subarray(start, start + this.data.layers[layer].size);
      return Array.from(raw, (v) => (v === SILENT ? Infinity : v * this.data.step));
    }

    // All spikes of a layer in the chosen sample: [neuron, time], given the first ones.
    layerSpikes(state, layer, times) {
      const spikes = times.map((time, neuron) => [neuron, time]).filter(([, t]) => t < Infinity);
      const further = this.further[state];
      if (!further) return spikes;
      const sample = Number(this.sample.value);
      const { start, size } = this.data.layers[layer];
      for (let i = sample ? further.ends[sample - 1] : 0; i < further.ends[sample]; i++) {
        const neuron = further.neurons[i] - start;
        if (neuron >= 0 && neuron < size)
          spikes.push([neuron, further.times[i] * this.data.step]);
      }
      return spikes;
    }

    // Height of every neuron of a layer, by what the reader wants.
    heights(state, layer, times) {
      const order = times.map((_, neuron) => neuron);
      const preferred = this.data.states[state].preferred[layer];
      // Neurons of the output stay in place: they are the classes.
      if (layer !== this.data.output) {
        if (this.order.value === "time") order.sort((a, b) => times[a] - times[b] || a - b);
        if (this.order.value === "class")
          order.sort((a, b) => preferred[a] - preferred[b] || a - b);
      }
      const heights = new Array(times.length);
      order.forEach((neuron, place) => (heights[neuron] = place));
      return heights;
    }

    layerTraces(state, layer, decision) {
      const { data } = this;
      const { name } = data.layers[layer];
      const times = this.layerTimes(state, layer);
      const heights = this.heights(state, layer, times);
      const spikes = this.layerSpikes(state, layer, times);
      const causal = spikes.filter(([, time]) => time <= decision);
      const rest = spikes.filter(([, time]) => !(time <= decision));
      const band = shortestHalf(causal.map(([, time]) => time).sort((a, b) => a - b));
      const output = layer === data.output;
      const silent = times.filter((time) => time === Infinity).length;
      const trace = (chosen, title, colour) => ({
        type: "scatter",
        mode: "markers",
        name: title,
        legendgroup: title,
        showlegend: false,
        x: chosen.map(([, time]) => time),
        y: chosen.map(([neuron]) => heights[neuron]),
        customdata: chosen.map(([neuron]) => neuron),
        xaxis: axis("x", state),
        yaxis: axis("y", state * data.layers.length + layer),
        marker: {
          symbol: "line-ns",
          size: output ? 11 : 5,
          line: { width: output ? 2.5 : 1, color: colour },
        },
        hovertemplate: `${name}, neuron %{customdata}<br>t = %{x:.3f} τ<sub>syn</sub><extra>${title}</extra>`,
      });
      const traces = [trace(causal, "before the decision", data.states[state].colour)];
      if (this.later.checked) traces.push(trace(rest, "after the decision", "#9a9a9a"));
      return { traces, band, spikes: causal.length, silent };
    }

    draw() {
      const { data } = this;
      const sample = data.samples[Number(this.sample.value)];
      const traces = [];
      const layout = this.layout();
      data.states.forEach((state, column) => {
        const output = this.layerTimes(column, data.output);
        const answer = state.decisions[Number(this.sample.value)];
        const decision = answer < 0 ? Infinity : (state.decided ?? output[answer]);
        data.layers.forEach((layer, row) => {
          const found = this.layerTraces(column, row, decision < Infinity ? decision : -Infinity);
          traces.push(...found.traces);
          this.decorate(layout, column, row, found);
        });
        if (decision < Infinity) layout.shapes.push(decisionLine(column, decision));
        const when = decision < Infinity ? `at ${decision.toFixed(3)} ` : "without a spike ";
        const verdict =
          answer < 0
            ? "no decision"
            : `decides ${data.classes[answer] ?? answer} ${when}` +
              (answer === sample.label ? "✓" : "✗");
        layout.annotations.push({
          text: `<b>${state.name}</b>: ${verdict}`,
          x: 0, xref: `${axis("x", column)} domain`, xanchor: "left",
          y: 1, yref: "paper", yanchor: "bottom", yshift: 6,
          showarrow: false, font: { size: 14, color: state.colour },
        });
      });
      this.plot.dataset.sample = sample.index;
      return Plotly.react(this.plot, traces, layout, settings);
    }

    decorate(layout, column, row, { band, spikes, silent }) {
      const place = column * this.data.layers.length + row;
      const xref = axis("x", column);
      const yref = `${axis("y", place)} domain`;
      let text = `${spikes} ${spikes === 1 ? "spike" : "spikes"}, ${silent} silent`;
      if (band !== null) {
        text = `${text}, shorth ${band.length.toFixed(3)}`;
        layout.shapes.push({
          type: "rect", layer: "below", xref, yref,
          x0: band.start, x1: band.start + band.length, y0: 0, y1: 1,
          line: { width: 0 }, fillcolor: this.data.states[column].colour, opacity: 0.18,
        });
      }
      layout.annotations.push({
        text, xref: `${xref} domain`, x: 1, xanchor: "right", yref, y: 1, yanchor: "bottom",
        showarrow: false, font: { size: 10.5, color: "#666" },
      });
    }

    layout() {
      const { layers, states, t_end: end } = this.data;
      const layout = {
        ...this.data.layout,
        height: 90 + 104 * layers.length,
        margin: { l: 76, r: 12, t: 52, b: 48 },
        shapes: [],
        annotations: [],
        showlegend: false,
        hovermode: "closest",
        // Zoom stays when another sample is chosen.
        uirevision: "raster",
      };
      const { label } = this.data.samples[Number(this.sample.value)];
      const gap = states.length > 1 ? 0.035 : 0;
      const width = (1 - gap * (states.length - 1)) / states.length;
      states.forEach((state, column) => {
        const left = column * (width + gap);
        layout[axis("xaxis", column)] = {
          domain: [left, left + width],
          range: [0, end],
          anchor: axis("y", column * layers.length),
          title: { text: "time (τ<sub>syn</sub>)", font: { size: 12 } },
          zeroline: false, showgrid: false, ticks: "outside", linecolor: "#888",
          ...(column ? { matches: "x" } : {}),
        };
        layers.forEach((layer, row) => {
          const place = column * layers.length + row;
          const bottom = row / layers.length;
          layout[axis("yaxis", place)] = {
            domain: [bottom, bottom + 0.8 / layers.length],
            range: [-0.03 * layer.size - 0.5, 1.03 * layer.size - 0.5],
            anchor: axis("x", column),
            showgrid: false, zeroline: false, ticks: "", tickfont: { size: 11 },
            // Of the output the neuron of the sample's class is named, of other layers none.
            tickmode: "array", tickvals: row === layers.length - 1 ? [label] : [],
            ticktext: row === layers.length - 1 ? [this.data.classes[label] ?? label] : [],
            showline: true, linecolor: "#ccc",
            title: column ? undefined : { text: layer.title, font: { size: 12 }, standoff: 14 },
            ...(column ? { matches: axis("y", row) } : {}),
          };
        });
      });
      return layout;
    }
  }

  // plotly's names of axes: "x", "x2", "x3", ...
  function axis(name, index) {
    return index ? `${name}${index + 1}` : name;
  }

  function decisionLine(column, time) {
    return {
      type: "line", xref: axis("x", column), yref: "paper", x0: time, x1: time, y0: 0, y1: 1,
      line: { color: "#000", width: 1, dash: "dot" },
    };
  }

  drawFigures();
  const plot = document.getElementById("raster");
  if (plot) drawn.push(new Raster(plot, read("raster-data")).draw());
  Promise.all(drawn).then(() => document.body.setAttribute("data-drawn", drawn.length));
})();
