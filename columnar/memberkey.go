package columnar

import "encoding/binary"

// memberKey is a member's name as it usually stands in JSON, with its quotes and colon. It is
// compared with a line in words of eight bytes.
type memberKey struct {
	text       string
	head, mask uint64 // the first bytes, up to eight, and which bits of a word they take
	tail       uint64 // the last eight bytes, if there are more than eight
}

func newMemberKey(name string) memberKey {
	k := memberKey{text: `"` + name + `":`, mask: ^uint64(0)}
	var head [8]byte
	if n := copy(head[:], k.text); n < 8 {
		k.mask = 1<<(8*n) - 1
	}
	k.head = binary.LittleEndian.Uint64(head[:])
	if n := len(k.text); n > 8 {
		k.tail = binary.LittleEndian.Uint64([]byte(k.text[n-8:]))
	}
	return k
}

// begins reports whether the line continues with the key at i. It may return false for a key at
// the very end of the line.
func (k *memberKey) begins(line []byte, i int) bool {
	n := len(k.text)
	if len(line)-i < max(n, 8) || binary.LittleEndian.Uint64(line[i:])&k.mask != k.head {
		return false
	}
	return n <= 8 || binary.LittleEndian.Uint64(line[i+n-8:]) == k.tail && (n <= 16 || string(line[i+8:i+n-8]) == k.text[8:n-8])
}
