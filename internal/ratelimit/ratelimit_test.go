package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

// TestBucketsAreBounded counts more keys than are remembered.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	b := New(6, 1)
	now := time.Now()
	for i := range 3 * maxKeys {
		if _, ok := b.Take(fmt.Sprint(i), now); !ok {
			t.Fatalf("the first one of %d was refused", i)
		}
	}
	if n := b.held.Len(); n != maxKeys {
		t.Errorf("%d buckets are held, %d are the limit", n, maxKeys)
	}
	if _, ok := b.Take(fmt.Sprint(3*maxKeys-1), now); ok {
		t.Error("who has just been counted was forgotten")
	}
}

func TestATokenIsThereWhenUntilSays(t *testing.T) {
	t.Parallel()
	b := New(60, 2)
	now := time.Now()
	for want := 1.0; want >= 0; want-- {
		if left, ok := b.Take("a", now); !ok || left != want {
			t.Fatalf("%v left, %v, want %v", left, ok, want)
		}
	}
	left, ok := b.Take("a", now)
	wait := b.Until(left, 1)
	if ok || wait != time.Second {
		t.Fatalf("a third one is allowed: %v, after %v", ok, wait)
	}
	if _, ok := b.Take("a", now.Add(wait)); !ok {
		t.Error("there is none when it should be")
	}
	b.GiveBack("b", now)
	if left, _ := b.Take("b", now); left != 1 {
		t.Errorf("a full bucket that got one back had %v", left+1)
	}
}
