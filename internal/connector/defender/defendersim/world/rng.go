package world

import "encoding/hex"

// rng is SplitMix64: a few instructions a number, and any seed is a good one.
type rng uint64

func newRNG(parts ...uint64) rng {
	var h uint64 = 0x9e3779b97f4a7c15
	for _, p := range parts {
		h = mix(h ^ p)
	}
	return rng(h)
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// n returns a number in [0, limit).
func (r *rng) n(limit int) int {
	if limit <= 1 {
		return 0
	}
	return int((r.next() >> 33) % uint64(limit))
}

func (r *rng) chance(percent int) bool { return r.n(100) < percent }

func pick[T any](r *rng, list []T) T { return list[r.n(len(list))] }

func (r *rng) hex(digits int) string {
	buf := make([]byte, 0, digits+16)
	for len(buf) < digits {
		v := r.next()
		var raw [8]byte
		for i := range raw {
			raw[i] = byte(v >> (8 * i))
		}
		buf = hex.AppendEncode(buf, raw[:])
	}
	return string(buf[:digits])
}

func (r *rng) guid() string {
	h := []byte(r.hex(32))
	h[12], h[16] = '4', "89ab"[h[16]%4]
	return string(h[:8]) + "-" + string(h[8:12]) + "-" + string(h[12:16]) + "-" + string(h[16:20]) + "-" + string(h[20:])
}
