// Command etcd is the etcd server, built from its module: what the benches measure
// kvix against where there is no embedded store to compare with.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
