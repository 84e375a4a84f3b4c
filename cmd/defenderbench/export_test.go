package main

import (
	"strings"
	"testing"
	"testing/iotest"
)

func TestAnExportWithoutItsEndIsNoExport(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int64{
		"{\"id\":1}\n{\"id\":2}\n{\"_end\":true,\"count\":2}\n": 2,
		"{\"_end\":true,\"count\":0}\n":                         0,
		"{\"id\":1}\n{\"id\":2}\n":                              -1,
		"{\"id\":1}\n{\"_end\":true,\"count\":2}\n":             -1,
		"": -1,
	} {
		items, size, err := countLines(iotest.OneByteReader(strings.NewReader(body)))
		if want < 0 != (err != nil) || err == nil && (items != want || size != int64(len(body))) {
			t.Errorf("%q: %d items in %d bytes, %v", body, items, size, err)
		}
	}
}
