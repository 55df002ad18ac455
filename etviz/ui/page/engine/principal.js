/** The first two principal components of a few long vectors. */

/**
 * The mean, two orthonormal axes, and their shares of the variance.
 *
 * The vectors' products with each other make a small matrix; its eigenvectors say how to add the vectors up to an axis.
 * An axis could as well point the other way: the vector that lies farthest along it is given a positive coordinate.
 *
 * @param {Float32Array[]} points
 */
export function principalAxes(points) {
  const mean = points[0].map((_, i) => points.reduce((total, point) => total + point[i], 0) / points.length);
  const centred = points.map((point) => Float64Array.from(point, (value, i) => value - mean[i]));
  const products = centred.map((a) => centred.map((b) => dot(a, b)));
  const { values, vectors } = eigen(products);
  const total = values.reduce((total, value) => total + value, 0);
  const axes = [0, 1].map((k) => axisOf(centred, vectors[k], values[k]));
  return { mean, axes, shares: [values[0] / total, values[1] / total] };
}

function axisOf(centred, weights, value) {
  const farthest = weights.reduce((most, weight) => (Math.abs(weight) > Math.abs(most) ? weight : most), 0);
  const scale = Math.sign(farthest) / Math.sqrt(value);
  return centred[0].map((_, i) => scale * centred.reduce((total, point, k) => total + weights[k] * point[i], 0));
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

/** Eigenvalues and eigenvectors of a symmetric matrix, the largest first, by Jacobi's rotations. */
function eigen(matrix) {
  const a = matrix.map((row) => Float64Array.from(row));
  const count = a.length;
  const vectors = a.map((_, i) => Float64Array.from({ length: count }, (_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false;
    for (let p = 0; p < count; p++) {
      for (let q = p + 1; q < count; q++) rotated = rotate(a, vectors, p, q) || rotated;
    }
    if (!rotated) break;
  }
  const order = Array.from(a.keys()).sort((i, j) => a[j][j] - a[i][i]);
  return { values: order.map((i) => Math.max(a[i][i], 0)), vectors: order.map((i) => vectors[i]) };
}

/** Turn the plane of p and q so that a[p][q] becomes 0; false where it is 0 already, next to the diagonal. */
function rotate(a, vectors, p, q) {
  if (Math.abs(a[p][q]) <= 1e-17 * Math.sqrt(Math.abs(a[p][p] * a[q][q]))) return false;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  const turn = (x, y) => [c * x - s * y, s * x + c * y];
  for (let k = 0; k < a.length; k++) [a[k][p], a[k][q]] = turn(a[k][p], a[k][q]);
  for (let k = 0; k < a.length; k++) [a[p][k], a[q][k]] = turn(a[p][k], a[q][k]);
  for (let k = 0; k < a.length; k++) [vectors[p][k], vectors[q][k]] = turn(vectors[p][k], vectors[q][k]);
  return true;
}
