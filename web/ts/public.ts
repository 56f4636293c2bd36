export type { Labels, Publishable } from "./content.js";
export type { WasmSource } from "./engine.js";
export * from "./errors.js";
export type { IceServer } from "./ice.js";
export type { Memory } from "./memory.js";
export type { Message } from "./message.js";
export type { QueueLimits } from "./queue.js";
export type { MessagesOptions, PublishOptions, Topic } from "./topic.js";
export type * from "./types.js";
