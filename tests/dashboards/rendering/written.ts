// Grafana's types as JSON has them: an enum is its string.
import type { Dashboard, FieldConfig, Panel, RowPanel } from '@grafana/schema';
import type { Options as BandOptions, FieldConfig as BandField } from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen.js';
import type { Options as NumberOptions } from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.js';
import type { Options as PageOptions } from '@grafana/schema/dist/types/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen.js';
import type { Options as CurveOptions, FieldConfig as CurveField } from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.js';

type Written<T> = T extends string ? `${T}` : T extends (infer E)[] ? Written<E>[] : T extends object ? { [K in keyof T]: Written<T[K]> } : T;

// Not in Grafana's published schema: the query of a panel, as its Prometheus data source reads it.
interface Target {
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  instant?: boolean;
  legendFormat: string;
  range?: boolean;
  refId: string;
}
interface Drawn<Type, Options, Field> extends Omit<Written<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: Type;
  options: Partial<Written<Options>>;
  fieldConfig: {
    defaults: Omit<Written<FieldConfig>, 'custom'> & { custom?: Partial<Written<Field>> };
    overrides: { matcher: { id: string; options?: string }; properties: { id: string; value?: unknown }[] }[];
  };
  targets: Target[];
}
export type WrittenPanel =
  | Drawn<'stat', NumberOptions, never>
  | Drawn<'timeseries', CurveOptions, CurveField>
  | Drawn<'state-timeline', BandOptions, BandField>;
export type WrittenPage = Omit<Written<Panel>, 'type' | 'options'> & { type: 'text'; options: Partial<Written<PageOptions>> };
export type WrittenRow = Omit<Written<RowPanel>, 'panels'>;
export type WrittenBoard = Omit<Written<Dashboard>, 'panels'>;
