/*
 * The products and the softmax of a descent, for WebAssembly with SIMD. `make kernel` builds it; kernel.js calls it, and
 * holds the same functions in plain JavaScript. No library is linked, so the result is a few KB.
 *
 * Matrices are float32 in one memory that JavaScript lays out. One factor of a product is packed: in panels of 16
 * columns, row after row within a panel, the last panel filled up with zeros. So the innermost loop reads along memory.
 */

#include <stdint.h>
#include <wasm_simd128.h>

#define PANEL 16  /* columns */
#define TILE 2    /* rows, whose sums stay in registers */
#define DEPTH 256 /* of a panel at once: 16 KB, which stay in the nearest cache */

static inline int least(int a, int b) { return a < b ? a : b; }

/* Pack any matrix of rows x columns; strides in floats, so that a transposed one is packed by swapping them. */
__attribute__((export_name("pack"))) void pack(const float *from, int row_stride, int column_stride, int rows,
                                               int columns, float *to) {
  for (int left = 0; left < columns; left += PANEL)
    for (int row = 0; row < rows; row++, to += PANEL)
      for (int column = 0; column < PANEL; column++)
        to[column] = left + column < columns ? from[row * row_stride + (left + column) * column_stride] : 0;
}

/* `rows` rows of one panel: sums (rows, 16) += a (rows, depth) panel (depth, 16). `rows` is known when it is compiled. */
static inline __attribute__((always_inline)) void add_tile(const float *a, int row_stride, int column_stride,
                                                           const float *panel, int depth, v128_t sums[TILE][4],
                                                           int rows) {
  for (int k = 0; k < depth; k++, a += column_stride, panel += PANEL) {
    v128_t b0 = wasm_v128_load(panel), b1 = wasm_v128_load(panel + 4);
    v128_t b2 = wasm_v128_load(panel + 8), b3 = wasm_v128_load(panel + 12);
#pragma unroll
    for (int row = 0; row < rows; row++) {
      v128_t factor = wasm_v128_load32_splat(a + row * row_stride);
      sums[row][0] = wasm_f32x4_add(sums[row][0], wasm_f32x4_mul(factor, b0));
      sums[row][1] = wasm_f32x4_add(sums[row][1], wasm_f32x4_mul(factor, b1));
      sums[row][2] = wasm_f32x4_add(sums[row][2], wasm_f32x4_mul(factor, b2));
      sums[row][3] = wasm_f32x4_add(sums[row][3], wasm_f32x4_mul(factor, b3));
    }
  }
}

static inline __attribute__((always_inline)) void do_tile(const float *a, int row_stride, int column_stride,
                                                          const float *panel, int depth, float scale, float *out,
                                                          int out_stride, int width, int first, int rows) {
  v128_t sums[TILE][4];
#pragma unroll
  for (int row = 0; row < rows; row++)
#pragma unroll
    for (int part = 0; part < 4; part++) sums[row][part] = wasm_f32x4_const_splat(0);
  add_tile(a, row_stride, column_stride, panel, depth, sums, rows);
#pragma unroll
  for (int row = 0; row < rows; row++, out += out_stride) {
    float whole[PANEL];
#pragma unroll
    for (int part = 0; part < 4; part++)
      wasm_v128_store(whole + 4 * part, wasm_f32x4_mul(sums[row][part], wasm_f32x4_splat(scale)));
    for (int column = 0; column < width; column++) out[column] = whole[column] + (first ? 0 : out[column]);
  }
}

/* out (rows, columns) = scale * a (rows, inner) b (inner, columns), b packed. */
__attribute__((export_name("product"))) void product(const float *a, int row_stride, int column_stride, const float *b,
                                                     float scale, float *out, int out_stride, int rows, int inner,
                                                     int columns) {
  for (int from = 0; from < inner; from += DEPTH) {
    int depth = least(DEPTH, inner - from);
    for (int left = 0; left < columns; left += PANEL) {
      const float *panel = b + left * inner + from * PANEL;
      int width = least(PANEL, columns - left), row = 0;
      for (; row + TILE <= rows; row += TILE)
        do_tile(a + row * row_stride + from * column_stride, row_stride, column_stride, panel, depth, scale,
                out + row * out_stride + left, out_stride, width, from == 0, TILE);
      for (; row < rows; row++)
        do_tile(a + row * row_stride + from * column_stride, row_stride, column_stride, panel, depth, scale,
                out + row * out_stride + left, out_stride, width, from == 0, 1);
    }
  }
}

/* e^x to the last bit or two for x <= 0, and 0 below the least normal number: 2^n e^r with |r| <= ln(2) / 2. */
static inline v128_t exponential(v128_t x) {
  v128_t least_x = wasm_f32x4_const_splat(-87.3f);
  v128_t is_zero = wasm_f32x4_lt(x, least_x);
  x = wasm_f32x4_max(x, least_x); /* keeps NaN */
  v128_t n = wasm_f32x4_nearest(wasm_f32x4_mul(x, wasm_f32x4_const_splat(1.44269504f)));
  /* ln 2 in two parts, so that r is exact. */
  v128_t r = wasm_f32x4_sub(x, wasm_f32x4_mul(n, wasm_f32x4_const_splat(0.693359375f)));
  r = wasm_f32x4_add(r, wasm_f32x4_mul(n, wasm_f32x4_const_splat(2.12194440e-4f)));
  static const float factorials[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1, 1};
  v128_t sum = wasm_f32x4_const_splat(1.f / 5040);
  for (int i = 0; i < 7; i++) sum = wasm_f32x4_add(wasm_f32x4_mul(sum, r), wasm_f32x4_splat(factorials[i]));
  v128_t power = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_const_splat(127)), 23);
  return wasm_v128_andnot(wasm_f32x4_mul(sum, power), is_zero);
}

static inline float sum_of(v128_t x) {
  return wasm_f32x4_extract_lane(x, 0) + wasm_f32x4_extract_lane(x, 1) + wasm_f32x4_extract_lane(x, 2) +
         wasm_f32x4_extract_lane(x, 3);
}

/* out = max(x, 0), and the sum of its squares in each row. */
__attribute__((export_name("rectify"))) void rectify(const float *x, int stride, int rows, int columns, float *out,
                                                     int out_stride, float *squares) {
  v128_t zero = wasm_f32x4_const_splat(0);
  for (int row = 0; row < rows; row++, x += stride, out += out_stride) {
    v128_t sum = zero;
    for (int i = 0; i + 4 <= columns; i += 4) {
      v128_t active = wasm_f32x4_max(wasm_v128_load(x + i), zero); /* keeps NaN */
      wasm_v128_store(out + i, active);
      sum = wasm_f32x4_add(sum, wasm_f32x4_mul(active, active));
    }
    squares[row] = sum_of(sum);
    for (int i = columns & ~3; i < columns; i++) {
      out[i] = x[i] < 0 ? 0 : x[i];
      squares[row] += out[i] * out[i];
    }
  }
}

static inline float largest_of(v128_t x) {
  x = wasm_f32x4_max(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
  return wasm_f32x4_extract_lane(wasm_f32x4_max(x, wasm_i32x4_shuffle(x, x, 1, 0, 3, 2)), 0);
}

/* The softmax of each row, in place, and of each row its largest number and the sum of e^(x - largest). */
__attribute__((export_name("softmax"))) void softmax(float *logits, int stride, int rows, int columns, float *largest,
                                                     float *sums) {
  for (int row = 0; row < rows; row++, logits += stride) {
    int whole = columns & ~3;
    float rest[4] = {-__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff()};
    for (int i = whole; i < columns; i++) rest[i - whole] = logits[i];
    v128_t tail = wasm_v128_load(rest), most = tail, sum = wasm_f32x4_const_splat(0);
    for (int i = 0; i < whole; i += 4) most = wasm_f32x4_max(most, wasm_v128_load(logits + i));
    largest[row] = largest_of(most);
    most = wasm_f32x4_splat(largest[row]);
    for (int i = 0; i < whole; i += 4) {
      v128_t power = exponential(wasm_f32x4_sub(wasm_v128_load(logits + i), most));
      wasm_v128_store(logits + i, power);
      sum = wasm_f32x4_add(sum, power);
    }
    tail = exponential(wasm_f32x4_sub(tail, most));
    wasm_v128_store(rest, tail);
    sums[row] = sum_of(wasm_f32x4_add(sum, tail));
    v128_t share = wasm_f32x4_splat(1 / sums[row]);
    for (int i = 0; i < whole; i += 4) wasm_v128_store(logits + i, wasm_f32x4_mul(wasm_v128_load(logits + i), share));
    for (int i = whole; i < columns; i++) logits[i] = rest[i - whole] / sums[row];
  }
}
