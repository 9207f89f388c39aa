/** The first of a list, as many as have `characters` as JSON: a node's answer that is larger is none. */
export function fitting<Item>(items: readonly Item[], characters: number): Item[] {
  let left = characters
  const end = items.findIndex((item) => {
    left -= JSON.stringify(item).length + 1
    return left < 0
  })
  return items.slice(0, end === -1 ? undefined : end)
}
