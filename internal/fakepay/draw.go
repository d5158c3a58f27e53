package fakepay

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// digest names one draw. Lengths go in, so that no two lists of names give the same bytes.
func digest(seed uint64, n int, names ...string) [sha256.Size]byte {
	b := binary.BigEndian.AppendUint64(nil, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	for _, name := range names {
		b = binary.BigEndian.AppendUint64(b, uint64(len(name)))
		b = append(b, name...)
	}
	return sha256.Sum256(b)
}

// stream is the randomness of one purpose and one request, and of nothing else: no order of arrival can move it.
func stream(seed uint64, n int, names ...string) *rand.Rand {
	d := digest(seed, n, names...)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(d[:]), binary.BigEndian.Uint64(d[8:])))
}

func newID(prefix string, seed uint64, n int, names ...string) string {
	d := digest(seed, n, append([]string{prefix}, names...)...)
	return prefix + "_" + hex.EncodeToString(d[:12])
}
