// What another evaluator of IAM policies says: cases as JSON lines in, one word a line out.
import { createInterface } from 'node:readline'
import { runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const account = '111122223333'
for await (const line of createInterface({ input: process.stdin })) {
  const { policies, boundary, action, resource, context } = JSON.parse(line)
  const named = (list, prefix) => list.map((policy, n) => ({ name: prefix + n, policy }))
  const request = {
    action,
    principal: `arn:aws:iam::${account}:user/ann`,
    resource: { resource, accountId: account },
    contextVariables: context
  }
  const simulation = {
    identityPolicies: named(policies, 'p'),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    permissionBoundaryPolicies: boundary ? named(boundary, 'b') : undefined,
    request
  }
  console.log(await runUnsafeSimulation(simulation, {}))
}
