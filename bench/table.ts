/** `npm run bench:table`: writes the table of bench/README.md from the ledger. */
import { documentFile, writeTable } from './ledger/files.js'

writeTable()
console.log(documentFile)
