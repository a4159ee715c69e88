// The page: takes a picture, lets a worker enlarge it, and shows the progress and the result.

import {limit} from './picture.js';
import {counted, duration, median} from './words.js';

const at = (id) => document.getElementById(id);
const settings = await (await fetch('settings.json')).json();
const NAMES = {webgpu: 'the graphics processor', wasm: 'the processor'};
let worker = null;
let address = null; // URL of the PNG

/** Show a sentence; a screen reader announces it. */
function say(sentence, refused = false) {
  at('status').textContent = sentence;
  at('status').classList.toggle('refused', refused);
}

function show({running = false, result = false, comparison = false}) {
  at('running').hidden = !running;
  at('result').hidden = !result;
  at('comparison').hidden = !comparison;
}

/** Stop the running enlargement at once. */
function stop() {
  worker?.terminate();
  worker = null;
}

function end(sentence, refused = false) {
  stop();
  show({});
  say(sentence, refused);
}

/** Set the canvases to the size of the enlarged picture. */
function prepare(width, height) {
  const figure = at('comparison');
  figure.style.setProperty('--width', width);
  figure.style.setProperty('--height', height);
  for (const canvas of [at('before'), at('after')]) Object.assign(canvas, {width, height});
  figure.querySelector('[data-zoom=fit]').click();
  show({running: true, comparison: true});
}

function draw(id, top, rows) {
  const canvas = at(id);
  canvas.getContext('2d').putImageData(new ImageData(rows, canvas.width), 0, top);
}

function offer(file, png) {
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(png);
  const stem = file.name.replace(/\.[^.]*$/, '') || 'picture';
  Object.assign(at('download'), {href: address, download: `${stem}_x${settings.scale}.png`});
}

/** Enlarge a picture, and stop a running enlargement. */
function enlarge(file, device, note = '') {
  stop();
  show({running: true});
  at('progress').removeAttribute('value');
  at('left').textContent = 'loading the network';
  say(`Reading ${file.name}. ${note}`);
  const times = [];
  const started = performance.now();

  const heard = {
    size({width, height}) {
      const [large, high] = [settings.scale * width, settings.scale * height];
      prepare(large, high);
      say(`${file.name}: ${width}x${height} becomes ${large}x${high}. ${note}`);
    },
    tile({done, tiles, time}) {
      times.push(time);
      Object.assign(at('progress'), {value: done, max: tiles});
      const left = duration((tiles - done) * median(times) / 1000);
      const known = done > 1; // the first one takes longer
      at('left').textContent = `${done} of ${counted(tiles, 'tile')}${known ? `, about ${left} left` : ''}`;
    },
    before: ({top, rows}) => draw('before', top, rows),
    after: ({top, rows}) => draw('after', top, rows),
    done({png, threads}) {
      stop();
      offer(file, png);
      show({result: true, comparison: true});
      const by = device === 'wasm' ? `${NAMES.wasm}, ${counted(threads, 'thread')}` : NAMES[device];
      const all = duration((performance.now() - started) / 1000);
      const size = `${at('after').width}x${at('after').height}`;
      say(`${at('download').download}: ${size}, ${counted(times.length, 'tile')} in about ${all}, ` +
        `${(median(times) / 1000).toFixed(3)} seconds each, by ${by}. ${note}`);
    },
    refused({message}) {
      end(message, true);
    },
    failed({message}) {
      if (device === 'webgpu') enlarge(file, 'wasm', `WebGPU failed (${message}); the processor is used instead.`);
      else end(`${file.name} cannot be enlarged by this browser: ${message}.`, true);
    },
  };
  worker = new Worker('worker.js', {type: 'module'});
  worker.addEventListener('message', ({data}) => heard[data.kind](data));
  worker.addEventListener('error', (event) => heard.failed({message: event.message ?? 'its script does not load'}));
  worker.postMessage({file, settings, device});
}

function take(files) {
  if (files.length) enlarge(files[0], at('device').value);
}

at('file').addEventListener('change', ({target}) => {
  take([...target.files]);
  target.value = ''; // the same file can be chosen again
});
at('cancel').addEventListener('click', () => end('Cancelled.'));
addEventListener('paste', ({clipboardData}) => take(clipboardData.files));
addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dragging');
});
for (const kind of ['dragleave', 'drop']) addEventListener(kind, () => document.body.classList.remove('dragging'));
addEventListener('drop', (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});

setUpComparison(at('comparison'));
at('scale').textContent = ` ×${settings.scale}`;
at('version').textContent = `asid_plugin ${settings.asid_plugin}`;
at('limit').textContent = `${limit(settings.scale)} Only the first frame of an animation is enlarged.`;
const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
at('by').hidden = !adapter;
// an adapter that is emulated on the processor is slower than WebAssembly
const emulated = adapter?.info?.isFallbackAdapter ?? adapter?.isFallbackAdapter;
at('device').value = adapter && !emulated ? 'webgpu' : 'wasm';
at('unserved').hidden = true;
at('main').hidden = false;
