import { DatabaseSync } from "node:sqlite";

/** Opens a database, or makes it, and runs these statements; where that fails, it is closed again. */
export function openDatabase(path: string, statements: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec(statements);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
