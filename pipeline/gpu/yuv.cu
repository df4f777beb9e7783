/* Pictures of a video decoder to RGB, and RGB to pictures for an encoder.

   In whole numbers only, and with the very steps that swscale's exact paths take (see colour.py): what comes
   out is the same to the last bit on any card, and in a C compiler, where the tests compare it. DEEP is 0 for
   samples of 8 bits and 1 for samples in words of 16. No header is needed. */

#if DEEP
typedef unsigned short Sample;
#define WEIGHED(sum) ((sum) >> 15)
#define LUMA_BEGIN (0x2001 << 14)
#define CHROMA_BEGIN (0x10001 << 14)
#define OF_ONE(value) ((value) >> 1)
#define OF_TWO(value) ((value) >> 2)
#else
typedef unsigned char Sample;
#define WEIGHED(sum) ((sum) >> 9)
#define LUMA_BEGIN ((32 << 14) + 256)
#define CHROMA_BEGIN ((256 << 14) + 256)
#define OF_ONE(value) ((value) * 2)
#define OF_TWO(value) (value)
#endif

/* What `to_rgb` is given. Pitches are in bytes. `chroma`: U and V by turns. `step_x`, `step_y`: how far
   chroma goes on for a pixel, in 65536ths. `shift`: the bits of a word below the sample's. Of `stride` pixels
   one is taken, along each axis, `first` the first one; 1 and 0 for all of them. */
typedef struct {
    const unsigned char *luma, *chroma;
    Sample *rgb;
    long long luma_pitch, chroma_pitch;
    int width, height, padded_width, padded_height;
    int first, stride;
    int step_x, step_y;
    int shift, bits;
    int black, luma_weight, v_red, v_green, u_green, u_blue;
} ToRGB;

/* What `from_rgb` is given. `side`: 2 where chroma is of 2x2 pixels, 1 where each has its own. The planes
   have no padding. `luma_scale`: 0 for limited range. */
typedef struct {
    const Sample *rgb;
    Sample *luma, *u, *v;
    int width, height, padded_width, side, bits;
    int y_weights[3], u_weights[3], v_weights[3];
    int luma_scale, luma_offset, chroma_scale, chroma_offset;
} FromRGB;

#ifdef __cplusplus
extern "C" {
#endif

static __device__ int least(int one, int other) { return one < other ? one : other; }

static __device__ int within(long long value, int greatest) {
    return value < 0 ? 0 : value > greatest ? greatest : (int)value;
}

/* The index that stands at `at` where `size` are continued by reflection about the last. */
static __device__ int mirrored(int at, int size) {
    int period = 2 * (size - 1);
    if (at < size) return at;
    if (size == 1) return 0;
    at %= period;
    return least(at, period - at);
}

/* The chroma sample that lies nearest to a pixel. */
static __device__ int nearest(int pixel, int step) {
    return (int)((step / 2 + (long long)pixel * step) >> 16);
}

static __device__ int sample(const unsigned char *row, int at, int shift) {
    return ((const Sample *)row)[at] >> shift;
}

/* 8-bit pictures give RGB of 8 bits, deeper ones RGB of 16. */
static __device__ Sample colour(long long luma, long long chroma) {
#if DEEP
    return (Sample)within(((luma + chroma + (1 << 13) - (1 << 29)) >> 14) + 32768, 65535);
#else
    return (Sample)within((luma + chroma + (1 << 21)) >> 22, 255);
#endif
}

__global__ void to_rgb(ToRGB p) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= p.padded_width || y >= p.padded_height) return;
    int column = mirrored(p.first + x * p.stride, p.width), line = mirrored(p.first + y * p.stride, p.height);
    const unsigned char *chroma = p.chroma + nearest(line, p.step_y) * p.chroma_pitch;
    int pair = 2 * nearest(column, p.step_x), scale = 1 << (17 - p.bits), grey = 1 << (p.bits - 1);
    long long luma = sample(p.luma + line * p.luma_pitch, column, p.shift) * scale - p.black;
    long long u = (sample(chroma, pair, p.shift) - grey) * scale;
    long long v = (sample(chroma, pair + 1, p.shift) - grey) * scale;
    Sample *out = p.rgb + 3 * ((long long)y * p.padded_width + x);
    luma *= p.luma_weight;
    out[0] = colour(luma, v * p.v_red);
    out[1] = colour(luma, v * p.v_green + u * p.u_green);
    out[2] = colour(luma, u * p.u_blue);
}

static __device__ int weighed(const Sample *rgb, const int *weights, int begin) {
    return WEIGHED(weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2] + begin);
}

/* A value in 15 bits, of limited range, made one of the picture's range. */
static __device__ int ranged(int value, int scale, int offset) {
    value = least(value, 32767);
    return scale ? least((value * scale + offset) >> 14, 32767) : value;
}

/* The sample of `bits` that is nearest to the mean of 2^halvings values in 15 bits. */
static __device__ Sample rounded(int sum, int halvings, int bits) {
    int shift = 15 - bits + halvings;
    return (Sample)within((sum + (1 << (shift - 1))) >> shift, (1 << bits) - 1);
}

static __device__ void luma_of(FromRGB *p, int x, int y) {
    const Sample *rgb = p->rgb + 3 * ((long long)y * p->padded_width + x);
    int value = OF_ONE(weighed(rgb, p->y_weights, LUMA_BEGIN));
    p->luma[(long long)y * p->width + x] = rounded(ranged(value, p->luma_scale, p->luma_offset), 0, p->bits);
}

/* U or V of `side` pixels in a row. */
static __device__ int chroma_of(const FromRGB *p, const int *weights, int x, int y) {
    const Sample *rgb = p->rgb + 3 * ((long long)y * p->padded_width + x);
    int first = weighed(rgb, weights, CHROMA_BEGIN);
    int value = p->side == 1 ? OF_ONE(first) : OF_TWO(first + weighed(rgb + 3, weights, CHROMA_BEGIN));
    return ranged(value, p->chroma_scale, p->chroma_offset);
}

static __device__ Sample chroma_at(const FromRGB *p, const int *weights, int x, int y) {
    int sum = chroma_of(p, weights, x, y);
    if (p->side == 1) return rounded(sum, 0, p->bits);
    return rounded(sum + chroma_of(p, weights, x, y + 1), 1, p->bits);
}

/* A thread for each sample of chroma. Where `side` is 2, width and height are even. */
__global__ void from_rgb(FromRGB p) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    int across = p.width / p.side, down = p.height / p.side;
    if (x >= across || y >= down) return;
    for (int line = y * p.side; line < (y + 1) * p.side; line++)
        for (int column = x * p.side; column < (x + 1) * p.side; column++) luma_of(&p, column, line);
    p.u[(long long)y * across + x] = chroma_at(&p, p.u_weights, x * p.side, y * p.side);
    p.v[(long long)y * across + x] = chroma_at(&p, p.v_weights, x * p.side, y * p.side);
}

#ifdef __cplusplus
}
#endif
