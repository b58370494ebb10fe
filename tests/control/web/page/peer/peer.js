// Reads our servers with seisplotjs, by WebSocket, as its own pages do.

import { DataLinkConnection } from "./node_modules/seisplotjs/src/datalink.ts";
import { SeedlinkConnection } from "./node_modules/seisplotjs/src/seedlink4.ts";

function found(record) {
  const samples = record.decompress();
  return { id: record.codes(), start: record.header.startTime.toUTC().toISO(), count: samples.length, first: samples[0] };
}

const DEADLINE_MS = 20000;

/** Gives `begin` two functions, for success and failure; fails when neither is called in time. */
const inTime = (begin) =>
  new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("the records do not come")), DEADLINE_MS);
    begin(resolve, reject);
  });

/** Returns the first records of a SeedLink server that requests select. */
window.readSeedlink = (url, requests, count) =>
  inTime((resolve, reject) => {
    const records = [];
    const take = (packet) => {
      records.push(found(packet.asMiniseed()));
      if (records.length < count) return;
      connection.close();
      resolve(records);
    };
    const connection = new SeedlinkConnection(url, requests, take, reject);
    connection.connect();
  });

/** Returns what a DataLink server says of itself, and records of the streams that match, after the oldest one. */
window.readDatalink = (url, pattern, count) =>
  inTime(async (resolve, reject) => {
    const records = [];
    let server = null;
    const take = (packet) => {
      records.push(found(packet.asMiniseed()));
      if (records.length < count) return;
      connection.close();
      resolve({ server, records });
    };
    const connection = new DataLinkConnection(url, take, reject);
    server = await connection.connect();
    await connection.match(pattern);
    await connection.awaitDLCommand("POSITION SET EARLIEST");
    await connection.stream();
  });
