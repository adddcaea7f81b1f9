package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// checkDir returns [ErrWasAlone] if a server of a cluster is given a directory that has streams,
// and nothing of a cluster: the servers of a cluster delete streams that their cluster does not
// know.
func checkDir(o *server.Options) error {
	if o.Cluster.Port == 0 && len(o.Routes) == 0 {
		return nil
	}
	root := filepath.Join(o.StoreDir, server.JetStreamStoreDir)
	accounts, err := namesIn(root)
	alone := false
	for _, account := range accounts {
		var groups, streams []string
		if err == nil {
			groups, err = namesIn(filepath.Join(root, account, "_js_", metaGroup))
		}
		if err == nil {
			streams, err = namesIn(filepath.Join(root, account, "streams"))
		}
		if len(groups) > 0 {
			return nil
		}
		alone = alone || len(streams) > 0
	}
	switch {
	case err != nil:
		return fmt.Errorf("embed: Options.Dir: %w", err)
	case alone:
		return fmt.Errorf("embed: %s: %w; leave out Listen, make a backup of the streams and restore it in the cluster, or choose another directory", o.StoreDir, ErrWasAlone)
	}
	return nil
}

// namesIn returns the names in a directory, or nothing if there is no such directory.
func namesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
