package syncer

import (
	"encoding/hex"
	"iter"

	"pgp.internal/defender/internal/inventory"
)

// machineIndex finds the run's number of a machine by its id. Defender's ids are 40 hexadecimal digits, which are kept as 20 bytes:
// a third of what the text and its header take. Others are kept as they are.
type machineIndex struct {
	usual map[[20]byte]int32
	other map[string]int32
}

func newMachineIndex() machineIndex {
	return machineIndex{usual: map[[20]byte]int32{}, other: map[string]int32{}}
}

// add takes an id in canonical form.
func (x *machineIndex) add(id string, number int32) {
	if key, ok := usualID(id); ok {
		x.usual[key] = number
	} else {
		x.other[id] = number
	}
}

// find takes an id in any form.
func (x *machineIndex) find(id string) (int32, bool) {
	key, ok := usualID(id)
	if !ok {
		id = inventory.CanonicalID(id)
		if key, ok = usualID(id); !ok {
			number, known := x.other[id]
			return number, known
		}
	}
	number, known := x.usual[key]
	return number, known
}

// all runs through the ids in their canonical form.
func (x *machineIndex) all() iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		for key, number := range x.usual {
			if !yield(hex.EncodeToString(key[:]), number) {
				return
			}
		}
		for id, number := range x.other {
			if !yield(id, number) {
				return
			}
		}
	}
}

func usualID(id string) (key [20]byte, ok bool) {
	if len(id) != 2*len(key) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(id)) // in either case, which is Defender's habit too
	return key, err == nil
}
