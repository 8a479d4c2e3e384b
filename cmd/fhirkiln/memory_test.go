package main

import "testing"

func TestMakeRoom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		env           string
		runs, workers int
		cores         int
		rowGroup      int64
		want          int64 // in MiB; 0 means no limit
	}{
		{"convert", "", 1, 2, 2, 0, 64 + 288},
		{"eight downloads", "", 1, 8, 2, 0, 64 + 336},
		{"four feeds at once", "", 4, 8, 64, 0, 64 + 4*336},
		{"row groups as large as they are anyhow", "", 1, 4, 2, 64 << 20, 64 + 304},
		{"large row groups", "", 1, 4, 2, 256 << 20, 64 + 512 + 32},
		{"a large one on each core", "", 1, 1, 8, 256 << 20, 64 + 1024 + 8},
		{"GOMEMLIMIT", "1GiB", 4, 8, 2, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := int64(0)
			c := console{
				env:         func(name string) (string, bool) { return tt.env, name == "GOMEMLIMIT" && tt.env != "" },
				limitMemory: func(bytes int64) int64 { got = bytes; return 0 },
			}
			if c.limitGarbage(tt.runs, tt.workers, tt.cores, tt.rowGroup); got != tt.want<<20 {
				t.Errorf("the limit is %d MiB, not %d", got>>20, tt.want)
			}
		})
	}
}
