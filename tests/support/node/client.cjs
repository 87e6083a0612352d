// Makes one connection for each line of JSON on standard input, and answers with what it saw of it.
"use strict";

const readline = require("node:readline");
const WebSocket = require("ws");

function visit({ url, protocols, messages, count, close }) {
  return new Promise((resolve) => {
    const seen = { status: 101, messages: [], protocol: null, code: null, reason: "" };
    const client = new WebSocket(url, protocols);
    const leave = () => close !== null && seen.messages.length === count && client.close(close[0], close[1]);
    client.on("open", () => {
      seen.protocol = client.protocol || null;
      messages.forEach((message) => client.send(message));
      leave();
    });
    client.on("message", (data) => {
      seen.messages.push(data.toString());
      leave();
    });
    client.on("unexpected-response", (request, response) => {
      request.destroy();
      resolve({ ...seen, status: response.statusCode });
    });
    client.on("error", () => {}); // "close" comes after it
    client.on("close", (code, reason) => resolve({ ...seen, code, reason: reason.toString() }));
  });
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  console.log(JSON.stringify(await visit(JSON.parse(line))));
});
