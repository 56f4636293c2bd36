// A data channel between two pages and nothing above it: what Chromium itself takes.
const MESSAGE = new Uint8Array(16 * 1024);
const HIGH_BYTES = 512 * 1024;

export class Page {
  #connection = new RTCPeerConnection();
  #channel = this.#connection.createDataChannel("", { negotiated: true, id: 0 });
  #opened = new Promise((resolve) => this.#channel.addEventListener("open", resolve));

  constructor() {
    this.#channel.binaryType = "arraybuffer";
    this.#channel.bufferedAmountLowThreshold = HIGH_BYTES / 4;
  }

  /** Our description, with every address; an answer to `offer` if there is one. */
  async describe(offer) {
    if (offer) await this.#connection.setRemoteDescription(offer);
    await this.#connection.setLocalDescription();
    while (this.#connection.iceGatheringState !== "complete") await next(this.#connection, "icegatheringstatechange");
    return this.#connection.localDescription.toJSON();
  }

  async accept(answer) {
    await this.#connection.setRemoteDescription(answer);
    await this.#opened;
  }

  /** Returns when the other page has said that it has everything. */
  async send(bytes) {
    const done = next(this.#channel, "message");
    for (let left = bytes; left > 0; left -= MESSAGE.length) {
      if (this.#channel.bufferedAmount >= HIGH_BYTES) await next(this.#channel, "bufferedamountlow");
      this.#channel.send(MESSAGE.subarray(0, left));
    }
    await done;
  }

  async receive(bytes) {
    await new Promise((resolve) => {
      let left = bytes;
      this.#channel.onmessage = ({ data }) => {
        left -= data.byteLength;
        if (left <= 0) resolve();
      };
    });
    this.#channel.onmessage = null;
    this.#channel.send(MESSAGE.subarray(0, 1));
  }
}

function next(target, event) {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}
