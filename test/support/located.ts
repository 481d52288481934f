/** Whatever `work` throws says where it was: a sweep is at one of thousands of places. */
export async function located<T>(where: () => string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && !error.message.includes(where())) {
      error.message = `${where()}: ${error.message}`;
      error.stack = `${where()}: ${error.stack}`;
    }
    throw error;
  }
}
