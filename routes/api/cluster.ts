import type { FastifyInstance } from 'fastify'

/** `GET /cluster`: the nodes, each as it says of itself. */
export async function clusterRoutes(app: FastifyInstance): Promise<void> {
  const { hub } = app
  app.get('/cluster', async () => {
    const { answers, scope, nodes } = await hub.inquiries.nodes()
    const clients = answers.reduce((sum, one) => sum + one.clients, 0)
    return { cluster: answers, clients, scope, nodes }
  })
}
