// The slider between two pictures or canvases. They lie on each other in the .stage of a figure, which has a .title, and
// .frame > .scroller > .stage.

// How far a key moves the divider, as a share of the visible width.
const STEPS = {
  ArrowLeft: -.02, ArrowDown: -.02, PageDown: -.1, Home: -1,
  ArrowRight: .02, ArrowUp: .02, PageUp: .1, End: 1,
};

const ZOOMS = ['fit', '1', '2', '4'];

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Add the buttons of the zoom and the divider, which are of no use without this script. */
function addControls(figure) {
  const button = (zoom, text) =>
    element('button', {type: 'button', 'data-zoom': zoom, 'aria-pressed': zoom === 'fit'}, text);
  const buttons = ZOOMS.map((zoom) => button(zoom, zoom === 'fit' ? zoom : `${zoom}×`));
  const zooms = element('div', {class: 'zoom', role: 'group', 'aria-label': 'zoom'}, ...buttons);
  figure.querySelector('.title').append(zooms);
  figure.querySelector('.frame').append(element('div', {
    class: 'divider', role: 'slider', tabindex: 0, 'aria-label': 'divider between the left and the right image',
    'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 50,
  }));
}

function setUpComparison(figure) {
  addControls(figure);
  const [frame, scroller, stage, divider] =
    ['.frame', '.scroller', '.stage', '.divider'].map((name) => figure.querySelector(name));
  const images = [...stage.children];
  const selects = [...figure.querySelectorAll('select')];
  const buttons = [...figure.querySelectorAll('[data-zoom]')];
  let share = .5; // of the width of the frame that shows the left image
  let drag = null;

  function draw() {
    const cut = Math.round(share * scroller.clientWidth);
    divider.style.left = `${cut}px`;
    divider.style.height = `${scroller.clientHeight}px`; // without the scrollbar
    stage.style.setProperty('--cut', `${cut + scroller.scrollLeft}px`);
    divider.setAttribute('aria-valuenow', Math.round(100 * share));
  }

  function moveTo(value) {
    share = Math.min(Math.max(value, 0), 1);
    draw();
  }

  function choose() {
    for (const select of selects) {
      for (const image of images) {
        const chosen = image.dataset.label === select.value;
        image.classList.toggle(select.dataset.side, chosen);
        if (chosen) select.parentElement.querySelector('output').textContent = image.dataset.figures;
      }
    }
  }

  function zoom(chosen) {
    const [x, y] = [
      (scroller.scrollLeft + scroller.clientWidth / 2) / stage.clientWidth,
      (scroller.scrollTop + scroller.clientHeight / 2) / stage.clientHeight,
    ];
    for (const button of buttons) button.setAttribute('aria-pressed', button === chosen);
    const fit = chosen.dataset.zoom === 'fit';
    figure.classList.toggle('fit', fit);
    figure.style.setProperty('--zoom', fit ? 1 : chosen.dataset.zoom);
    scroller.scrollTo(
      x * stage.clientWidth - scroller.clientWidth / 2, y * stage.clientHeight - scroller.clientHeight / 2);
    draw();
  }

  function slide(event) {
    moveTo((event.clientX - scroller.getBoundingClientRect().left) / scroller.clientWidth);
  }

  function pan(start) {
    const [left, top] = [scroller.scrollLeft + start.clientX, scroller.scrollTop + start.clientY];
    return (event) => scroller.scrollTo(left - event.clientX, top - event.clientY);
  }

  frame.addEventListener('pointerdown', (event) => {
    const isScrollbar = event.target === scroller;
    if (event.button !== 0 || isScrollbar) return;
    if (event.target === divider || figure.classList.contains('fit')) {
      divider.focus({preventScroll: true});
      drag = slide;
      slide(event);
    } else if (event.pointerType === 'mouse') { // other pointers scroll by themselves
      drag = pan(event);
    } else {
      return;
    }
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener('pointermove', (event) => { if (drag) drag(event); });
  for (const end of ['pointerup', 'pointercancel']) frame.addEventListener(end, () => { drag = null; });
  divider.addEventListener('keydown', (event) => {
    const isShortcut = event.altKey || event.ctrlKey || event.metaKey;
    if (isShortcut || !(event.key in STEPS)) return;
    event.preventDefault();
    moveTo(share + STEPS[event.key]);
  });
  for (const select of selects) select.addEventListener('change', choose);
  for (const button of buttons) button.addEventListener('click', () => zoom(button));
  scroller.addEventListener('scroll', draw);
  new ResizeObserver(draw).observe(scroller);
  choose();
}
