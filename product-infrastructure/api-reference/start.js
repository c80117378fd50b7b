// Preceded by two constants: `openapi`, the text of openapi.yaml, and `viewer`, the text of Scalar's browser bundle. The bundle is
// a string because a browser would otherwise look for tags in it.
const script = document.createElement("script");
script.text = viewer;
document.head.append(script);

Scalar.createApiReference("#reference", {
  content: openapi,
  // The page contacts no other host.
  telemetry: false,
  withDefaultFonts: false,
  mcp: { disabled: true },
  agent: { disabled: true },
  // Browsers can't call the API: its responses have no CORS headers.
  hideClientButton: true,
  hideTestRequestButton: true,
  showDeveloperTools: "never",
  // Generated samples send every optional header at once; those of openapi.yaml remain.
  hiddenClients: true,
  defaultOpenAllTags: true,
  showOperationId: true,
  modelsSectionLabel: "Schemas",
  orderSchemaPropertiesBy: "preserve",
  documentDownloadType: "yaml",
  // The guides are what a new reader looks for, and the sidebar hides them at first.
  onLoaded: () => document.querySelector('[data-sidebar-id$="/introduction"] button[aria-expanded="false"]')?.click(),
});
