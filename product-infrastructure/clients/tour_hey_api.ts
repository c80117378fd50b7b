// Use the client that @hey-api/openapi-ts generated: create, follow, read, change, find and delete a product.
// Prints the ID of each operation that worked, one a line.

import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { client } from "./hey-api/client.gen";
import {
  createProduct,
  deleteProduct,
  getHealth,
  getProduct,
  getProductChange,
  headHealth,
  listChangedProducts,
  listProductChanges,
  listProducts,
  replaceProduct,
  updateProduct,
} from "./hey-api/sdk.gen";
import type { Change, ProductContent, ProductPatch } from "./hey-api/types.gen";

const TIMEOUT_MS = 60_000;

async function main(): Promise<void> {
  const url = environment("API_URL").replace(/\/$/, "");
  client.setConfig({ baseUrl: url, auth: () => environment("API_KEY") });
  const sku = `TOUR-${randomUUID()}`;

  assert.equal((await getHealth()).data?.status, "ok");
  assert.equal((await headHealth()).response?.status, 200);
  worked("getHealth", "headHealth");

  const content: ProductContent = { name: "Tour de clients", price: "19.99", currency: "EUR", sku, tags: ["tour"] };
  const created = await createProduct({ body: content, headers: { "Idempotency-Key": randomUUID() } });
  assert(created.data, JSON.stringify(created.error));
  const path = { productId: created.data.productId };
  worked("createProduct");
  assert.equal((await follow(url, created.response)).eventId, created.data.eventId);
  worked("getProductChange");

  const product = await getProduct({ path });
  assert.equal(product.data?.price, "19.99");
  assert.equal(product.data.version, 1);
  assert.equal(product.response?.headers.get("ETag"), '"1"');
  worked("getProduct");

  const body: ProductPatch = { price: "17.99", sku: null };
  await follow(url, (await updateProduct({ path, body, headers: { "If-Match": '"1"' } })).response);
  worked("updateProduct");
  const refused = await updateProduct({ path, body, headers: { "If-Match": '"1"' } });
  assert.equal(refused.response?.status, 412);
  assert.equal(refused.error?.error.code, "PRECONDITION_FAILED");
  await follow(url, (await replaceProduct({ path, body: { ...content, price: "18.99" } })).response);
  worked("replaceProduct");

  // Indexes are eventually consistent.
  await waitUntil(async () => {
    const page = await listProducts({ query: { sku } });
    assert(page.data, JSON.stringify(page.error));
    return page.data.items.some((item) => item.productId === path.productId && item.price === "18.99");
  });
  const invalid = await listProducts({ query: { minPrice: "10" } });
  assert.equal(invalid.error?.error.code, "INVALID_PARAMETER");
  worked("listProducts");

  const history = await listProductChanges({ path });
  assert.deepEqual(history.data?.items.map((item) => item.version), [3, 2, 1]);
  worked("listProductChanges");
  const feed = await listChangedProducts({ query: { limit: 1 } });
  assert(feed.data?.nextCursor, JSON.stringify(feed.error));
  worked("listChangedProducts");

  const deleted = await deleteProduct({ path });
  assert.equal(deleted.response?.status, 204);
  await follow(url, deleted.response);
  const gone = await getProduct({ path });
  assert.equal(gone.error?.error.code, "NOT_FOUND");
  worked("deleteProduct");
}

/** Polls the change at `Operation-Location` until it is done; it must be applied. */
async function follow(url: string, response: Response | undefined): Promise<Change> {
  const location = response?.headers.get("Operation-Location");
  assert(response && location, `${response?.status} without Operation-Location`);
  const address = new URL(location, response.url).href;
  const [productId = "", , eventId = ""] = address.replace(`${url}/products/`, "").split("/");
  assert.equal((await fetch(address, { headers: { "x-api-key": environment("API_KEY") } })).status, 200, address);

  let last: Change | undefined;
  await waitUntil(async () => {
    const change = await getProductChange({ path: { productId, eventId } });
    assert(change.data, JSON.stringify(change.error));
    last = change.data;
    return last.done;
  });
  assert.equal(last?.status, "APPLIED");
  return last as Change;
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    assert(Date.now() < deadline, `not within ${TIMEOUT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function environment(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is required`);
  return value;
}

function worked(...operations: string[]): void {
  console.log(operations.join("\n"));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
