// SPDX-License-Identifier: MIT

// etcd's write-ahead log beside the core: one wal.Save of one entry an event, as raft
// calls it for each proposal.
//
// sync: as it is. Save of an entry ends in a flush of its page writer, which is one
// write(2), and fdatasync.
//
// nosync: after SetUnsafeNoFsync(). The same with the flush and without the fdatasync: an
// entry outlives the process and not the machine, like an append to walfs.
//
// Both have etcd's CRC-32C of each record, and 64 MB segments that its file pipeline
// makes ready ahead. A cut to the next segment syncs the directory in both.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/raft/raftpb"
	"go.etcd.io/etcd/wal"
	"go.uber.org/zap"
)

func die(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(2)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		die(fmt.Errorf("%s: not a number above 0", text))
	}
	return n
}

func saveAll(w *wal.WAL, size, events int) error {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = 'x'
	}
	entries := make([]raftpb.Entry, 1)
	for i := 1; i <= events; i++ {
		entries[0] = raftpb.Entry{Term: 1, Index: uint64(i), Data: payload}
		if err := w.Save(raftpb.HardState{}, entries); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 5 || (os.Args[2] != "sync" && os.Args[2] != "nosync") {
		fmt.Fprintln(os.Stderr, "usage: bench_peer_etcd DIR sync|nosync SIZE EVENTS")
		os.Exit(2)
	}
	size, events := number(os.Args[3]), number(os.Args[4])
	dir := filepath.Join(os.Args[1], "etcd")
	w, err := wal.Create(zap.NewNop(), dir, nil)
	if err != nil {
		die(err)
	}
	if os.Args[2] == "nosync" {
		w.SetUnsafeNoFsync()
	}
	start := time.Now()
	if err := saveAll(w, size, events); err != nil {
		die(err)
	}
	ns := float64(time.Since(start).Nanoseconds()) / float64(events)
	w.Close()
	os.RemoveAll(dir)
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"system": "etcd wal.Save", "metric": os.Args[2], "value": ns, "unit": "ns", "events": events,
	})
}
