/* A view of the sky by Aladin Lite, on the HiPS of this service, where the script of Aladin Lite is served. */

import { el, path } from "./base.js";

const READY_MS = 15000;

/** Whether the browser can show it. */
export function canShowAladin() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

export class AladinView {
  /**
   * @param {string} viewer path of the script
   * @param {any} survey
   * @param {{moved: function(): void}} told of each movement
   * @param {HTMLElement} stage what it is put into, before everything else
   */
  static async open(viewer, survey, told, stage) {
    const view = new AladinView(told);
    stage.prepend(view.element);
    try {
      const { default: A } = await import(viewer);
      await Promise.race([A.init, late()]);
      view.#begin(A, survey);
    } catch (fault) {
      view.element.remove();
      throw fault;
    }
    return view;
  }

  constructor(told) {
    this.kind = "aladin";
    this.told = told;
    this.element = el("div", { class: "view aladin-view" });
  }

  #begin(A, survey) {
    this.A = A;
    const hips = this.#hips(survey);
    this.aladin = A.aladin(this.element, {
      survey: hips,
      hipsList: [],
      target: survey.center ? survey.center.join(" ") : "0 0",
      fov: 0.1,
      projection: "TAN",
      cooFrame: "ICRSd",
      inertia: false,
      backgroundColor: "rgb(17, 21, 28)",
      log: false,
      samp: false,
      showReticle: false,
      showStatusBar: false,
      showFrame: false,
      showFov: false,
      showCooLocation: false,
      showZoomControl: false,
      showLayersControl: false,
      showFullscreenControl: false,
      showProjectionControl: false,
      showSimbadPointerControl: false,
      showSettingsControl: false,
    });
    this.#cover(survey);
    for (const event of ["positionChanged", "zoomChanged", "resizeChanged"]) {
      this.aladin.on(event, () => this.#soon());
    }
  }

  #hips(survey) {
    const url = new URL(path(`/${survey.shown}`), location.href).href;
    this.shown = survey.shown;
    return this.A.imageHiPS(url, { name: survey.title, imgFormat: "png" });
  }

  /** Show which part of the sky the survey covers. */
  #cover(survey) {
    const url = new URL(path(`/${survey.moc}`), location.href).href;
    this.covered = survey.moc;
    if (this.moc) this.aladin.removeOverlay(this.moc);
    this.moc = this.A.MOCFromURL(url, { color: "#6aa5ff", lineWidth: 1, opacity: 0.5, perimeter: true, fill: false });
    this.aladin.addMOC(this.moc);
  }

  /** Tell of movements once a frame: places are right when it has been drawn. */
  #soon() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.told.moved());
  }

  get center() {
    return this.aladin.getRaDec();
  }

  get fov() {
    return this.aladin.getFov()[0];
  }

  remove() {
    cancelAnimationFrame(this.frame);
    this.element.remove();
  }

  look([ra, dec], fov = this.fov) {
    this.aladin.setFoV(fov);
    this.aladin.gotoRaDec(ra, dec);
    this.#soon();
  }

  show(survey) {
    if (survey.shown === this.shown || !survey.shown) return;
    this.aladin.setBaseImageLayer(this.#hips(survey));
    if (survey.moc !== this.covered) this.#cover(survey);
  }

  zoom(factor) {
    this.look(this.center, this.fov * factor);
  }

  toPixel(ra, dec) {
    return this.aladin.world2pix(ra, dec) ?? null;
  }

  toSky(x, y) {
    try {
      const sky = this.aladin.pix2world(x, y);
      return sky && Number.isFinite(sky[0]) ? [...sky] : null;
    } catch {
      return null; // beside the sky
    }
  }
}

function late() {
  return new Promise((_, refuse) => setTimeout(() => refuse(new Error("Aladin Lite does not begin")), READY_MS));
}
