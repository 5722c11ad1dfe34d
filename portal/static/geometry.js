/* Places on the sky and on planes that touch it. Degrees everywhere; ICRS. */

const RAD = Math.PI / 180;

/** A right ascension between 0 and 360. */
export function turned(ra) {
  return ((ra % 360) + 360) % 360;
}

/**
 * The gnomonic projection about a place: a plane that touches the sky there, x to the east, y to the north.
 * @param {number} ra0
 * @param {number} dec0
 */
export function tangent(ra0, dec0) {
  const sin0 = Math.sin(dec0 * RAD);
  const cos0 = Math.cos(dec0 * RAD);
  return {
    /** @returns {[number, number]|null} null of a place on the other half of the sky */
    toPlane(ra, dec) {
      const sin = Math.sin(dec * RAD);
      const cos = Math.cos(dec * RAD);
      const turn = (ra - ra0) * RAD;
      const depth = sin0 * sin + cos0 * cos * Math.cos(turn);
      if (depth < 0.02) return null;
      const east = (cos * Math.sin(turn)) / depth / RAD;
      const north = (cos0 * sin - sin0 * cos * Math.cos(turn)) / depth / RAD;
      return [east, north];
    },
    /** @returns {[number, number]} */
    toSky(east, north) {
      const x = east * RAD;
      const y = north * RAD;
      const ra = ra0 + Math.atan2(x, cos0 - y * sin0) / RAD;
      const dec = Math.atan2(sin0 + y * cos0, Math.hypot(x, cos0 - y * sin0)) / RAD;
      return [turned(ra), dec];
    },
  };
}

/** The angle between two places. */
export function separation([ra1, dec1], [ra2, dec2]) {
  const [a, b] = [dec1 * RAD, dec2 * RAD];
  const half = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(((ra2 - ra1) * RAD) / 2) ** 2;
  return (2 * Math.asin(Math.min(1, Math.sqrt(half)))) / RAD;
}

/**
 * What is asked for on the sky.
 * @typedef {{shape: "circle"|"box"|"polygon", ra: number, dec: number, width: number, height: number,
 *   points: [number, number][]}} Region
 */

/**
 * The outline of a region: places on the sky, in their order.
 * @param {Region} region
 * @returns {[number, number][]}
 */
export function outline(region) {
  if (region.shape === "polygon") return region.points;
  const plane = tangent(region.ra, region.dec);
  const [w, h] = [region.width / 2, region.height / 2];
  if (region.shape === "circle") {
    const r = Math.tan(Math.min(w, 80) * RAD) / RAD;
    return Array.from({ length: 72 }, (_, i) => {
      const angle = (i * 5 * Math.PI) / 180;
      return plane.toSky(r * Math.sin(angle), r * Math.cos(angle));
    });
  }
  return corners(w, h).map(([x, y]) => plane.toSky(x, y));
}

/** Corners of a box about 0, the upper left one first, east being left. */
export function corners(w, h) {
  return [[w, h], [-w, h], [-w, -h], [w, -h]];
}

/**
 * The same place and size in another shape.
 * @param {Region} region
 * @param {string} shape
 * @returns {Region}
 */
export function reshaped(region, shape) {
  if (shape === region.shape) return region;
  let { width, height } = region;
  if (region.shape === "polygon") {
    const far = Math.max(...region.points.map((point) => separation(point, [region.ra, region.dec])));
    width = height = 2 * far || width;
  }
  if (shape === "circle") width = height = Math.max(width, height);
  const made = { ...region, shape, width, height };
  return shape === "polygon" ? { ...made, points: outline({ ...made, shape: "box" }) } : made;
}

/**
 * A region moved on the sky by so many degrees to the east and north.
 * @param {Region} region
 * @returns {Region}
 */
export function moved(region, east, north) {
  const plane = tangent(region.ra, region.dec);
  const shift = ([ra, dec]) => {
    const [x, y] = plane.toPlane(ra, dec) ?? [0, 0];
    return plane.toSky(x + east, y + north);
  };
  const [ra, dec] = shift([region.ra, region.dec]);
  return { ...region, ra, dec, points: region.points.map(shift) };
}

/** The middle of the corners of a polygon. */
export function middle(points) {
  let [x, y, z] = [0, 0, 0];
  for (const [ra, dec] of points) {
    x += Math.cos(dec * RAD) * Math.cos(ra * RAD);
    y += Math.cos(dec * RAD) * Math.sin(ra * RAD);
    z += Math.sin(dec * RAD);
  }
  return [turned(Math.atan2(y, x) / RAD), Math.atan2(z, Math.hypot(x, y)) / RAD];
}
