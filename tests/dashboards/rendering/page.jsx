// Draws a dashboard's panels with Grafana's own components: frames, numbers, curves, legends, units, thresholds.
// Drawn by hand here: the grid, rows, bands of state timelines and Markdown; they are part of Grafana's server.
// `require`, because the CommonJS builds of Grafana's packages bundle, and their ES modules do not.
const {
  FieldType, Registry, applyFieldOverrides, createTheme, dateTime, displayNameOverrideProcessor, getFieldDisplayValues,
  identityOverrideProcessor, toDataFrame,
} = require('@grafana/data');
const { BigValue, GlobalStyles, PanelChrome, ThemeContext, TimeSeries } = require('@grafana/ui');
const React = require('react');
const { createRoot } = require('react-dom/client');

const theme = createTheme({ colors: { mode: 'dark' } });
const COLUMN = 24, ROW = 30, GAP = 8;

// The properties of a field that a dashboard of ours sets, as Grafana's registry names them.
const STANDARD = ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'thresholds', 'mappings', 'links', 'noValue', 'description', 'fieldMinMax'];
const CUSTOM = ['lineWidth', 'fillOpacity', 'showPoints', 'stacking', 'axisSoftMin', 'axisSoftMax', 'thresholdsStyle', 'scaleDistribution', 'drawStyle', 'lineInterpolation', 'spanNulls', 'hideFrom', 'axisPlacement'];
const registry = new Registry(() => [
  ...STANDARD.map((id) => property(id, id, false)),
  ...CUSTOM.map((path) => property(`custom.${path}`, path, true)),
]);
function property(id, path, isCustom) {
  const process = id === 'displayName' ? displayNameOverrideProcessor : identityOverrideProcessor;
  return { id, path, isCustom, name: id, description: id, override: null, editor: null, process, shouldApply: () => true, settings: {}, getItemsCount: () => 0 };
}

function named(legend, metric) {
  const name = legend.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '').trim();
  return name || undefined;
}

function frames(panel, answers) {
  return panel.targets.flatMap((target, number) => answers[number].result.map((series) => {
    const points = series.values ?? [series.value];
    const { __name__, ...labels } = series.metric;
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000), config: { interval: answers[number].step * 1000 } },
        { name: 'Value', type: FieldType.number, labels, values: points.map(([, value]) => Number(value)),
          config: { displayNameFromDS: named(target.legendFormat ?? '', series.metric) } },
      ],
    });
  }));
}

function fielded(panel, data) {
  const fieldConfig = structuredClone(panel.fieldConfig);
  fieldConfig.defaults.custom ??= {};
  fieldConfig.overrides ??= [];
  return applyFieldOverrides({ data, fieldConfig, replaceVariables: (text) => text, theme, timeZone: 'utc', fieldConfigRegistry: registry });
}

function Number_({ panel, data, width, height }) {
  const values = getFieldDisplayValues({
    data, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text,
    theme, sparkline: panel.options.graphMode !== 'none', timeZone: 'utc', percentChange: false,
  });
  const each = Math.floor(width / Math.max(1, values.length));
  return <div style={{ display: 'flex' }}>{values.map((value, number) => (
    <div key={number} data-value={number}><BigValue width={each} height={height} theme={theme} value={value.display}
      count={values.length} textMode={panel.options.textMode ?? 'auto'} graphMode={panel.options.graphMode} sparkline={value.sparkline}
      text={panel.options.text} colorMode={panel.options.colorMode} justifyMode={panel.options.justifyMode ?? 'auto'} wideLayout={panel.options.wideLayout ?? true} /></div>
  ))}</div>;
}

function Curves({ panel, data, width, height, range }) {
  if (data.length === 0) {
    return <Absent panel={panel} />;
  }
  const legend = { calcs: [], ...panel.options.legend };
  return <TimeSeries width={width} height={height} frames={data} timeRange={range} timeZone="utc" legend={legend}
    options={{ legend, tooltip: panel.options.tooltip }} replaceVariables={(text) => text} dataLinkPostProcessor={undefined} structureRev={1}>
    {() => null}
  </TimeSeries>;
}

// A band for each series, coloured by the mapping of its values, over the range.
function Bands({ panel, data, width, range }) {
  if (data.length === 0) {
    return <Absent panel={panel} />;
  }
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  return <div style={{ fontSize: 12 }}>{data.map((frame, number) => {
    const [time, value] = frame.fields;
    const step = time.config.interval;
    return <div key={number} style={{ display: 'flex', alignItems: 'center', height: 24 }}>
      <span style={{ width: 200 }}>{value.config.displayNameFromDS}</span>
      <svg width={width - 210} height={18}>{time.values.map((at, place) => (
        <rect key={place} x={((at - from) / (to - from)) * (width - 210)} width={(step / (to - from)) * (width - 210) + 0.5} height={18}
          fill={theme.visualization.getColorByName(value.display(value.values[place]).color)} />))}
      </svg>
    </div>;
  })}</div>;
}

function Absent({ panel }) {
  return <div style={{ textAlign: 'center', padding: 30 }}>{panel.fieldConfig.defaults.noValue}</div>;
}

const KINDS = { stat: Number_, timeseries: Curves, 'state-timeline': Bands };

function Panel({ panel, answers, range, width }) {
  const { x, y, w, h } = panel.gridPos;
  const column = (width + GAP) / COLUMN;
  const place = { left: x * column, top: y * (ROW + GAP), width: w * column - GAP, height: h * (ROW + GAP) - GAP };
  const Kind = KINDS[panel.type];
  if (panel.type === 'row') {
    return <div style={{ position: 'absolute', ...place, fontSize: 16 }}>{panel.collapsed ? '▸' : '▾'} {panel.title}</div>;
  }
  if (!Kind) {
    return null;
  }
  const data = fielded(panel, frames(panel, answers));
  return <div data-panel={panel.title} data-kind={panel.type} style={{ position: 'absolute', ...place }}>
    <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height}>
      {(innerWidth, innerHeight) => <Kind panel={panel} data={data} width={innerWidth} height={innerHeight} range={range} />}
    </PanelChrome>
  </div>;
}

function Board({ board, answers, from, to, width }) {
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-15m', to: 'now' } };
  const bottom = Math.max(...board.panels.map(({ gridPos: { y, h } }) => y + h)) * (ROW + GAP);
  return <div style={{ position: 'relative', width, height: bottom }}>
    {board.panels.map((panel) => <Panel key={panel.id} panel={panel} answers={answers[panel.id] ?? []} range={range} width={width} />)}
  </div>;
}

// What a person sees on the numbers: for each panel its texts, each with the name of its colour.
const NAMES = ['green', 'orange', 'red', 'purple', 'text'];
window.numbers = () => Object.fromEntries([...document.querySelectorAll('[data-panel][data-kind=stat]')].map((panel) => [
  panel.dataset.panel,
  [...panel.querySelectorAll('[data-value]')].map((value) => ({ text: value.innerText.replace(/\s+/g, ' ').trim(), color: shade(value) })),
]));
function shade(value) {
  const text = document.createTreeWalker(value, NodeFilter.SHOW_TEXT).nextNode();
  const seen = text && getComputedStyle(text.parentElement).color.replace(/\s/g, '');
  return NAMES.find((name) => rgb(theme.visualization.getColorByName(name)) === seen) ?? seen;
}
function rgb(color) {
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = color;
  const seen = getComputedStyle(probe).color.replace(/\s/g, '');
  probe.remove();
  return seen;
}
// The rows of a curve's legend, as shown from top to bottom.
window.legends = () => Object.fromEntries([...document.querySelectorAll('[data-panel][data-kind=timeseries]')].map((panel) => [
  panel.dataset.panel,
  [...panel.querySelectorAll('tbody tr')].map((row) => [...row.querySelectorAll('td')].map((cell) => cell.innerText.trim())),
]));

// Called by the test: `drawn` is set when all is painted.
window.draw = (input) => {
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}><GlobalStyles /><Board {...input} /></ThemeContext.Provider>,
  );
  requestAnimationFrame(() => setTimeout(() => { window.drawn = true; }, 300));
};
