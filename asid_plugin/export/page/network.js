// The network in ONNX Runtime Web: by WebGPU, or by WebAssembly on the processor.

const MOST_THREADS = 8; // more are not faster for one tile

/**
 * Load a model for tiles of one size, which is faster, and required by WebGPU.
 *
 * Returns a function that maps planes (3, height, width) to the enlarged ones, and the number of threads.
 */
export async function loadNetwork(address, device, {height, width}) {
  const ort = await import(device === 'webgpu' ? './ort.webgpu.bundle.min.js' : './ort.wasm.bundle.min.js');
  ort.env.logLevel = 'error';
  // several threads share memory, which browsers allow only for cross-origin isolated pages
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  const session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), {
    executionProviders: [device],
    freeDimensionOverrides: {batch: 1, height, width},
    logSeverityLevel: 3,
  });

  async function network(planes) {
    const {output} = await session.run({input: new ort.Tensor('float32', planes, [1, 3, height, width])});
    return output.data;
  }

  return {network, threads};
}
