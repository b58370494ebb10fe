// Requests of the REST interface.

import { token } from "./token.js";

/** An answer that is no answer: `message` says what is wrong and what would be right. */
export class ApiError extends Error {
  constructor(status, error, remedy) {
    super(remedy ? `${error}; ${remedy}` : error);
    this.status = status;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      ...options,
      headers: { Authorization: `Bearer ${token()}`, ...options.headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server does not answer", "see whether control-rawdaq web runs");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error ?? `the server answered ${response.status}`, body.remedy);
}

/** Returns the JSON at a path. */
export const get = async (path, options) => (await request(path, options)).json();

/** Returns the bytes at a path. */
export const getBytes = async (path, options) => (await request(path, options)).arrayBuffer();

/** Gives a command. */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "X-Rawdaq": "1" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Saves what is at a path as a file. */
export async function download(path, name) {
  const blob = await (await request(path)).blob();
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60000);
  return blob.size;
}
