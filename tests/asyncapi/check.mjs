// Reads an AsyncAPI document with the official parser and prints, as JSON, what it complains of and what it sees. The parser
// does not hold examples against their schemas, so that is done here.
//
//   node check.mjs schemas/asyncapi.json
import { Parser, fromFile } from "@asyncapi/parser";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const all = (collection) => collection?.all() ?? [];
const ajv = addFormats(new Ajv({ allErrors: true, strict: false }));

const examples = all(document?.allMessages()).flatMap((message) => {
  const valid = ajv.compile(message.payload().json());
  return all(message.examples()).map((example) => ({
    message: message.name(),
    faults: valid(example.payload()) ? [] : valid.errors.map((error) => `${error.instancePath} ${error.message}`),
  }));
});
const operations = all(document?.operations()).map((operation) => ({
  id: operation.id(),
  action: operation.action(),
  addresses: all(operation.channels()).map((channel) => channel.address()),
}));
console.log(JSON.stringify({ diagnostics, examples, operations }, null, 2));
