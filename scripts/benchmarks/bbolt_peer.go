// The peer of scripts/bench store: transitions of the same sizes in Go's bbolt, each synced.
//
// A transition is two transactions, as it is in Cubelet's store: the intent (the record and a line
// of the journal), then the outcome (both again, and the answer under its key). bbolt syncs every
// transaction; "batch" lets goroutines that wait together share one, "update" does not, and
// "outcome" shares too and leaves the intent out, which is less than the agent needs.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

var (
	file        = flag.String("file", "", "the database")
	how         = flag.String("how", "batch", "batch, update or outcome")
	writers     = flag.Int("writers", 1, "goroutines")
	transitions = flag.Int("transitions", 100, "of each of them")
	intent      = flag.Int("intent", 1024, "bytes of a record with an open operation")
	record      = flag.Int("record", 1024, "bytes of a record without")
	journal     = flag.Int("journal", 256, "bytes of a journal line")
	outcome     = flag.Int("outcome", 1024, "bytes of an answer")
)

var (
	sandboxesBucket  = []byte("sandboxes")
	journalBucket    = []byte("journal")
	operationsBucket = []byte("operations")
)

// sandboxesEach is how many sandboxes a writer has in turn.
const sandboxesEach = 16

func main() {
	flag.Parse()
	db, err := bolt.Open(*file, 0o600, nil)
	check(err)
	db.MaxBatchSize = *writers // All that can wait: a batch is not held back for more.
	db.MaxBatchDelay = time.Millisecond
	check(db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{sandboxesBucket, journalBucket, operationsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	}))
	each, all := run(db)
	check(db.Close())
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"each_ns": each, "all_ns": all}))
}

// run has every goroutine commit its transitions; how long each took, and all together.
func run(db *bolt.DB) ([]int64, int64) {
	commit := db.Batch
	if *how == "update" {
		commit = db.Update
	}
	each := make([]int64, *writers**transitions)
	var working sync.WaitGroup
	begun := time.Now()
	for writer := 0; writer < *writers; writer++ {
		working.Add(1)
		go func(writer int) {
			defer working.Done()
			for number := 0; number < *transitions; number++ {
				turn := time.Now()
				id := []byte(fmt.Sprintf("bench-%02d-%05d", writer, number%sandboxesEach))
				if *how != "outcome" {
					check(commit(func(tx *bolt.Tx) error { return put(tx, id, *intent, 0) }))
				}
				check(commit(func(tx *bolt.Tx) error { return put(tx, id, *record, *outcome) }))
				each[writer**transitions+number] = int64(time.Since(turn))
			}
		}(writer)
	}
	working.Wait()
	return each, int64(time.Since(begun))
}

// put writes a record, a line of the journal, and an answer where that has any bytes.
func put(tx *bolt.Tx, id []byte, recordBytes, outcomeBytes int) error {
	if err := tx.Bucket(sandboxesBucket).Put(id, make([]byte, recordBytes)); err != nil {
		return err
	}
	lines := tx.Bucket(journalBucket)
	number, err := lines.NextSequence()
	if err != nil {
		return err
	}
	key := make([]byte, 8)
	binary.BigEndian.PutUint64(key, number)
	if err := lines.Put(key, make([]byte, *journal)); err != nil {
		return err
	}
	if outcomeBytes == 0 {
		return nil
	}
	return tx.Bucket(operationsBucket).Put(append(id, key...), make([]byte, outcomeBytes))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
